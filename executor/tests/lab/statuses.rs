//! Of blkid, and of cryptsetup but for a header's metadata, only the status is read. What it is for
//! each kind of device was recorded, and is so: also that blkid finds nothing where it cannot read.

use super::bed;
use executor::command::Command;
use std::path::PathBuf;

const RECORDED: &str = include_str!("../../../testdata/host-output/statuses");

/// Makes a device of each kind, `/run/KIND`, and looks at it as the storage does.
const LOOK: &str = r#"
cd /run
printf '%064d' 1 >key
printf '%064d' 2 >other
for kind in empty ext4 luks erased two; do
    truncate -s 48M "$kind.disk"
    ln -s "$(losetup -f --show "$kind.disk")" "$kind"
done
dmsetup create failing --table "0 98304 error"
dmsetup mknodes failing
ln -s /dev/mapper/failing failing
mkfs.ext4 -q ext4
mkfs.ext4 -q two
printf SWAP-SPACE | dd of=two bs=1 seek=4086 conv=notrunc status=none
for kind in luks erased; do
    cryptsetup luksFormat -q --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --key-file - $kind <key
done
cryptsetup luksErase -q erased
exec 2>/dev/null
for kind in empty ext4 luks erased two missing failing; do
    blkid -p -o export $kind >&2; echo "blkid, $kind: $?"
    types=$(wipefs -n --noheadings -O TYPE $kind); echo "wipefs, $kind:" $? $types
    cryptsetup isLuks --type luks2 $kind; echo "isLuks, $kind: $?"
    cryptsetup open -q --test-passphrase --type luks2 --key-file - $kind <key; echo "key, $kind: $?"
done
cryptsetup open -q --test-passphrase --type luks2 --key-file - luks <other; echo "another key, luks: $?"
for time in first second; do
    cryptsetup open -q --type luks2 --key-file - luks open <key; echo "open, luks: $?"
done
for time in first second; do cryptsetup close open; echo "close, luks: $?"; done
"#;

#[tokio::test]
async fn programs_end_as_was_recorded_on_each_kind_of_device() {
    if !bed::inside("lab::statuses::programs_end_as_was_recorded_on_each_kind_of_device") {
        return;
    }
    let said = Command::named("bash").unwrap().args(["-c", LOOK]).output().await.unwrap();
    assert_eq!(String::from_utf8_lossy(&said.stdout), RECORDED);
    for (kind, refusal) in [
        ("failing", "reading /run/failing"),
        ("ext4", "carries something already, ext4;"),
        ("erased", "carries something already, crypto_LUKS;"),
        ("two", "carries something already, ext4, swap;"),
    ] {
        let disk = PathBuf::from(format!("/run/{kind}"));
        let answer = bed::open().look_at_ground(&[disk], None).await;
        let told = executor::chain(&answer.expect_err("it was taken for bare"));
        assert!(told.contains(refusal), "{told}");
    }
}
