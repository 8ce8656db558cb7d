//! Facts about machines, from the kernel's texts.
use super::{cpu_model, file_system, probe_sync_us};
use std::path::Path;

#[test]
fn the_nearest_mount_point_has_the_file_system() {
    let mounts =
        "/dev/a / ext4 rw 0 0\ntmpfs /no-such tmpfs rw 0 0\n/dev/b /no-such/disk xfs rw 0 0\n";
    let kind = |folder| file_system(mounts, Path::new(folder));
    assert_eq!(kind("/no-such/disk/data").as_deref(), Some("xfs"));
    assert_eq!(kind("/no-such/diskette").as_deref(), Some("tmpfs"));
    assert_eq!(kind("/else-where").as_deref(), Some("ext4"));
}

#[test]
fn the_cpu_has_a_name() {
    let info = "processor\t: 0\nmodel name\t: Some CPU: 2 GHz\nmodel name\t: Some CPU: 2 GHz\n";
    assert_eq!(cpu_model(info).as_deref(), Some("Some CPU: 2 GHz"));
    assert_eq!(cpu_model("processor\t: 0\n"), None);
}

#[test]
fn a_probe_of_the_disk_takes_some_time() {
    let folder = tempfile::tempdir().expect("a folder");
    assert!(probe_sync_us(folder.path()).expect("it can be written") >= 0.0);
    assert!(probe_sync_us(Path::new("/no-such-folder")).is_err());
}
