//! Copies of volumes, judged.

use super::Case;
use crate::by_hand::{NOW, copying, lane, removing, rollout, volume, volume_change};
use planner::check::Rule;
use planner::model::id::VolumeId;
use planner::model::object::Object;
use planner::model::size::Size;
use planner::model::volume::{Keeping, VolumeKind, VolumeSpec};
use planner::plan::change::Verb;
use planner::plan::step::Act;

#[test]
fn only_copies_are_copies_and_only_clones_go_without_a_word() {
    let case = |kind| {
        let mut case = Case::redeploy();
        let of = volume(1);
        let copy = VolumeSpec {
            id: VolumeId::of_copy(&of.id, kind, "a", NOW),
            kind,
            keeping: Keeping::DEFAULT,
            origin: Some(of.id.clone()),
            ..of.clone()
        };
        let mut shown = volume_change(Verb::Create, 1);
        let Object::Volume { volume, .. } = &mut shown.object else { panic!("{shown:?}") };
        *volume = copy.id.clone();
        let gone = removing(copy.id.clone());
        let mut waves = vec![vec![lane(1, vec![copying(copy)])]];
        let mut failed = Vec::new();
        if kind == VolumeKind::Clone {
            let mut again = gone.clone();
            again.id.0 += " on failure";
            failed.push(again);
            waves.push(vec![lane(1, vec![gone])]);
        }
        let mut rollout = rollout(waves);
        rollout.on_failure = failed;
        case.plan = crate::by_hand::plan(vec![rollout]);
        case.plan.changes = vec![shown];
        case
    };
    for kind in [VolumeKind::Snapshot, VolumeKind::Clone] {
        let mut case = case(kind);
        assert_eq!(case.broken(), []);
        case.world = case.world.after(&case.plan);
        assert_eq!(case.broken(), [], "applied once more");
    }
    let altered = |change: fn(&mut VolumeSpec)| {
        case(VolumeKind::Clone).breaks(Rule::Copies, |case| {
            let Act::CopyVolume { volume, .. } = &mut case.lane(0, 0).steps[0].act else {
                panic!()
            };
            change(volume);
        });
    };
    altered(|copy| copy.origin = None);
    altered(|copy| copy.source = "other".parse().unwrap());
    altered(|copy| copy.size = Size::parse("20GB").unwrap());
    case(VolumeKind::Clone).breaks(Rule::Temporary, |case| {
        case.plan.rollouts[0].on_failure.clear();
    });
    case(VolumeKind::Clone).breaks(Rule::Copies, |case| {
        let id = volume(1).id;
        case.lane(0, 0).steps.push(removing(id));
    });
    Case::deploy().breaks(Rule::Copies, |case| {
        let Act::MakeVolume { volume } = &mut case.lane(0, 0).steps[0].act else { panic!() };
        volume.kind = VolumeKind::Clone;
    });
    // While there is a snapshot of it, a volume does not go.
    Case::purge().breaks(Rule::Destroy, |case| {
        let reading = case.world.reading();
        let mut copy = reading.volumes[&volume(2).id].clone();
        copy.spec.id = VolumeId::of_copy(&volume(2).id, VolumeKind::Snapshot, "", NOW);
        (copy.spec.kind, copy.spec.origin) = (VolumeKind::Snapshot, Some(volume(2).id));
        reading.volumes.insert(copy.spec.id.clone(), copy);
    });
    // The slot's own instance is never on a clone.
    Case::redeploy().breaks(Rule::Binds, |case| {
        case.world.reading().volumes.get_mut(&volume(1).id).unwrap().spec.kind = VolumeKind::Clone;
    });
}
