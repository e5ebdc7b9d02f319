//! A cut at every boundary of the journal and the catalog, before and after each write: the next
//! apply ends where an uninterrupted one ends.

use super::bed::{Bed, manifests};

#[tokio::test(start_paused = true)]
async fn apply_cut_off_at_every_boundary_ends_in_the_same_place() {
    let (first, second) = (manifests("one", 2), manifests("two", 3));
    let whole = Bed::new();
    assert!(whole.apply(&first).await.unwrap().is_complete());
    whole.catalog.cut_at(None);
    assert!(whole.apply(&second).await.unwrap().is_complete());
    let boundaries = whole.catalog.passed();
    let expected = whole.picture(&second).await;
    assert!(boundaries > 40, "only {boundaries} boundaries were passed");

    for boundary in 0..boundaries {
        let bed = Bed::new();
        assert!(bed.apply(&first).await.unwrap().is_complete());
        bed.catalog.cut_at(Some(boundary));
        assert!(bed.apply(&second).await.is_err(), "cut at {boundary} and not noticed");
        bed.catalog.cut_at(None);
        let outcome = bed.apply(&second).await.unwrap();
        assert!(outcome.is_complete(), "cut at {boundary}: {outcome:#?}");
        assert_eq!(bed.picture(&second).await, expected, "cut at {boundary}");
        let (planned, _) = bed.plan(&second).await;
        assert!(planned.plan.is_empty(), "cut at {boundary}: {:#?}", planned.plan.changes);
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_apply_cut_off_at_every_boundary_ends_in_the_same_place() {
    let wanted = manifests("one", 2);
    let whole = Bed::new();
    assert!(whole.apply(&wanted).await.unwrap().is_complete());
    let (boundaries, expected) = (whole.catalog.passed(), whole.picture(&wanted).await);
    for boundary in 0..boundaries {
        let bed = Bed::new();
        bed.catalog.cut_at(Some(boundary));
        assert!(bed.apply(&wanted).await.is_err(), "cut at {boundary} and not noticed");
        bed.catalog.cut_at(None);
        assert!(bed.apply(&wanted).await.unwrap().is_complete(), "cut at {boundary}");
        assert_eq!(bed.picture(&wanted).await, expected, "cut at {boundary}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_catalog_that_is_lost_is_rebuilt_from_marks() {
    let wanted = manifests("one", 2);
    let bed = Bed::new();
    assert!(bed.apply(&wanted).await.unwrap().is_complete());
    let volumes = |bed: &Bed| -> Vec<_> {
        bed.hosts.values().flat_map(|host| host.reading().volumes.into_keys()).collect()
    };
    let before = volumes(&bed);
    bed.catalog.forget();
    let (planned, _) = bed.plan(&wanted).await;
    assert_eq!(planned.plan.corrections.len(), 5, "a claim for each slot");
    assert!(bed.apply(&wanted).await.unwrap().is_complete());
    assert_eq!(volumes(&bed), before);
    let (planned, _) = bed.plan(&wanted).await;
    assert!(planned.plan.is_empty() && planned.plan.corrections.is_empty());
}
