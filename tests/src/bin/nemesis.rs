//! Real crashes of real processes under load: `make crash EVENTS=300 SEED=1`.
use std::process::ExitCode;

fn main() -> ExitCode {
    troupe_tests::nemesis::options::main()
}
