//! What ends the process, what it leaves behind, and what the next start makes of it.
use super::hook::is_storage_path;
use super::*;
use std::path::Path;
use std::process::{Command, Output};
use troupe_types::RegionId;

const CHILD: &str = "TROUPE_STORAGE_TEST_CHILD";

/// The folder to work in, if this process is the child of a test.
pub(crate) fn child_folder() -> Option<PathBuf> {
    std::env::var_os(CHILD).map(PathBuf::from)
}

/// Runs the test `name` of this binary in a process of its own.
pub(crate) fn run_as_child(name: &str, folder: &Path) -> Output {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args([name, "--exact", "--nocapture", "--test-threads=1"]).env(CHILD, folder);
    child.output().unwrap()
}

pub(crate) fn assert_aborted(output: &Output) {
    use std::os::unix::process::ExitStatusExt;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{:?} {stderr}", output.status);
    assert!(stderr.contains("fatal: "), "{stderr}");
}

fn nothing(_: &std::panic::PanicHookInfo<'_>) {}

fn announce(_: &std::panic::PanicHookInfo<'_>) {
    println!("seen by the extra hook");
}

/// Panics by `panic` with the hook installed, and says so when it was left to unwind.
fn panic_hooked(folder: PathBuf, extra: fn(&std::panic::PanicHookInfo<'_>), panic: fn()) {
    set_mark_folder(folder);
    install_panic_hook(extra);
    let unwound = std::panic::catch_unwind(panic);
    println!("unwound: {}", unwound.is_err());
}

fn assert_fatal(name: &str, reason: &str) {
    let dir = tempfile::tempdir().unwrap();
    let output = run_as_child(name, dir.path());
    assert_aborted(&output);
    assert!(!String::from_utf8_lossy(&output.stdout).contains("unwound"));
    let marks = read_marks(dir.path()).unwrap();
    assert_eq!(marks.len(), 1);
    assert!(marks[0].reason.contains(reason), "{}", marks[0].reason);
}

#[test]
fn a_panic_in_a_storage_call_is_fatal() {
    if let Some(folder) = child_folder() {
        return panic_hooked(folder, nothing, || {
            let _region = RegionScope::enter(RegionId(77));
            let _call = StorageCall::enter();
            panic!("within");
        });
    }
    assert_fatal("failure::tests::a_panic_in_a_storage_call_is_fatal", "region 77: within");
}

#[test]
fn a_fatal_payload_is_fatal() {
    if let Some(folder) = child_folder() {
        return panic_hooked(folder, nothing, || {
            std::panic::panic_any(StoreFatal("too many panics".to_owned()));
        });
    }
    assert_fatal("failure::tests::a_fatal_payload_is_fatal", "too many panics");
}

#[test]
fn any_other_panic_unwinds() {
    const NAME: &str = "failure::tests::any_other_panic_unwinds";
    if let Some(folder) = child_folder() {
        return panic_hooked(folder, announce, || {
            drop(StorageCall::enter());
            panic!("of a Region alone");
        });
    }
    let dir = tempfile::tempdir().unwrap();
    let output = run_as_child(NAME, dir.path());
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stdout}");
    assert!(stdout.contains("seen by the extra hook"), "{stdout}");
    assert!(stdout.contains("unwound: true"), "{stdout}");
    assert_eq!(read_marks(dir.path()).unwrap(), []);
}

#[test]
fn a_fatal_error_names_its_causes() {
    const NAME: &str = "failure::tests::a_fatal_error_names_its_causes";
    if let Some(folder) = child_folder() {
        set_mark_folder(folder);
        let source = std::io::Error::other("the cable is out");
        fatal(&crate::StorageError::io("reading", Path::new("x"), source));
    }
    assert_fatal(NAME, "reading failed on x: the cable is out");
}

#[test]
fn panics_in_shared_storage_are_known_by_their_place() {
    let registry = "registry/src/index-1949cf8c6b5b557f";
    for file in [
        &format!("{registry}/raft-engine-0.4.2/src/engine.rs"),
        &format!("{registry}/rocksdb-0.25.0/src/db.rs"),
        "storage/src/engine/rocks.rs",
        "storage/src/raft_log/engine.rs",
    ] {
        assert!(is_storage_path(file), "{file}");
    }
    for file in [
        &format!("{registry}/raft-0.7.0/src/raft.rs"),
        "storage/src/apply.rs",
        "actors/src/region_peer/core.rs",
    ] {
        assert!(!is_storage_path(file), "{file}");
    }
}

#[test]
fn scopes_nest() {
    assert_eq!(RegionScope::current(), None);
    let outer = RegionScope::enter(RegionId(1));
    let inner = RegionScope::enter(RegionId(2));
    assert_eq!(RegionScope::current(), Some(RegionId(2)));
    drop(inner);
    assert_eq!(RegionScope::current(), Some(RegionId(1)));
    drop(outer);
    assert_eq!(RegionScope::current(), None);
    let calls = (StorageCall::enter(), StorageCall::enter());
    drop(calls.0);
    assert!(StorageCall::is_active());
    drop(calls.1);
    assert!(!StorageCall::is_active());
}

#[test]
fn what_may_be_user_data_is_not_logged() {
    for (text, logged) in [
        ("index 7 is behind 9", "index 7 is behind 9"),
        (r#"bad key "se\"cret" here"#, r#"bad key "…" here"#),
        (r#"keys [b"a", b"b]"] of 3"#, "keys […] of 3"),
        (r#"range [b"a", b"b") and all behind"#, "range […]"),
        ("value [1, 2, [3]]\nnext", "value […] next"),
        (r#"open "quote"#, r#"open "…""#),
        ("open [1, 2", "open […]"),
    ] {
        assert_eq!(redact(text), logged);
    }
    assert!(redact(&"x".repeat(10_000)).len() < 1000);
}

#[test]
fn a_mark_names_every_end_until_it_is_cleared() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(read_marks(dir.path()).unwrap(), []);
    let end = |at, reason: &str| FatalEnd { at: UnixMillis(at), reason: reason.to_owned() };
    write_mark(dir.path(), &end(5, "first\nof two lines")).unwrap();
    write_mark(dir.path(), &end(7, "second")).unwrap();
    let expected = [end(5, "first of two lines"), end(7, "second")];
    assert_eq!(read_marks(dir.path()).unwrap(), expected);
    let path = dir.path().join(PANIC_MARK);
    let torn = [std::fs::read(&path).unwrap(), b"1".to_vec()].concat();
    std::fs::write(&path, torn).unwrap();
    assert_eq!(read_marks(dir.path()).unwrap(), expected);
    clear_marks(dir.path()).unwrap();
    clear_marks(dir.path()).unwrap();
    assert_eq!(read_marks(dir.path()).unwrap(), []);
}

#[test]
fn three_ends_in_ten_minutes_are_too_many() {
    let now = UnixMillis(100 * WINDOW_MS);
    let ends = |ages_ms: &[u64]| -> Vec<FatalEnd> {
        let end = |age| FatalEnd { at: UnixMillis(now.get() - age), reason: String::new() };
        ages_ms.iter().copied().map(end).collect()
    };
    for (ages_ms, serves) in [
        (&[][..], true),
        (&[1, 2], true),
        (&[1, 2, 3], false),
        (&[1, 2, WINDOW_MS - 1], false),
        (&[1, 2, WINDOW_MS], true),
        (&[1, WINDOW_MS, 2 * WINDOW_MS, 3 * WINDOW_MS], true),
    ] {
        assert_eq!(may_serve(&ends(ages_ms), now), serves, "{ages_ms:?}");
    }
}

#[test]
fn a_stand_in_takes_the_place_of_the_abort_on_its_thread() {
    let told = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let heard = told.clone();
    stand_in_for_end(move |reason| heard.borrow_mut().push(reason.to_owned()));
    let end = std::panic::catch_unwind(|| end_process("a disk is gone"));
    assert!(end.unwrap_err().is::<Ended>());
    let error = crate::StorageError::Injected { what: "sync" };
    let work = std::panic::AssertUnwindSafe(|| fatal(&error));
    assert!(std::panic::catch_unwind(work).unwrap_err().is::<Ended>());
    assert_eq!(*told.borrow(), ["a disk is gone".to_owned(), error.to_string()]);
}
