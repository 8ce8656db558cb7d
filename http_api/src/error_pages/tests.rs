//! `docs/ERRORS.md` is what the code says; `UPDATE_GOLDEN=1` writes it anew.
use super::{index, markdown, page};
use std::path::Path;
use troupe_types::Code;

#[test]
fn the_document_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/ERRORS.md");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, markdown()).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == markdown(), "docs/ERRORS.md is stale: run with UPDATE_GOLDEN=1");
}

#[test]
fn every_code_has_a_page() {
    for code in Code::ALL {
        let (page, name) = (page(code), code.as_str());
        assert!(page.contains(&format!("<h1><code>{name}</code></h1>")));
        assert!(page.contains("What to do") && !page.contains("<dd></dd>"));
        assert!(index().contains(&format!("/docs/errors/{name}\"")));
        assert!(markdown().contains(&format!("\n## `{name}`\n")));
    }
}
