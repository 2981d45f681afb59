//! Every shader parses and validates, on any machine.

use std::path::{Path, PathBuf};

use naga::valid::{Capabilities, ValidationFlags, Validator};

#[test]
fn every_shader_is_valid() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shaders");
    let shared = folder.join("color.wgsl");
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).expect("the repository has a folder of shaders") {
        let path = entry.expect("a readable entry").path();
        if path.extension().is_none_or(|extension| extension != "wgsl") {
            continue;
        }
        let read = |path: &Path| std::fs::read_to_string(path).expect("a readable shader");
        // The card is given the shared part and one of the others after it.
        let source = if path == shared {
            read(&path)
        } else {
            read(&shared) + &read(&path)
        };
        let module = naga::front::wgsl::parse_str(&source)
            .unwrap_or_else(|error| panic!("{}: {}", path.display(), error.emit_to_string(&source)));
        // No capability beyond the baseline may be needed: the studio runs on GL as well.
        Validator::new(ValidationFlags::all(), Capabilities::empty())
            .validate(&module)
            .unwrap_or_else(|error| panic!("{}: {error:?}", path.display()));
        count += 1;
    }
    assert!(count > 0, "no shader in {}", folder.display());
}
