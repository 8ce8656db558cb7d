//! What a result says about how it was made.
use super::{anonymous, ceiling_cells, describe};
use crate::bench::options::{CellPlan, Workload};

#[test]
fn a_command_tells_no_folder_of_its_user() {
    let command = "troupe bench run --dir /users/me/data --out /users/me/b.json";
    assert_eq!(anonymous(command, "/users/me"), "troupe bench run --dir ~/data --out ~/b.json");
    assert_eq!(anonymous(command, "/"), command);
    assert_eq!(anonymous(command, ""), command);
}

#[test]
fn measurements_are_told_by_their_load() {
    assert_eq!(describe(ceiling_cells()[0]), "put with 256 client(s)");
    let open = CellPlan { workload: Workload::Get, clients: 8, rate: Some(50) };
    assert_eq!(describe(open), "get at 50/s");
}
