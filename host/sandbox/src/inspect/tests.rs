use proptest::prelude::*;

use super::*;
use crate::testing::{Guest, sandbox};

const NOW: &str = r#"(import "wasi:clocks/monotonic-clock@0.2.6" "now" (func (result i64)))"#;

/// A custom section, to be put behind the others.
fn section(name: &str, data: &[u8]) -> Vec<u8> {
    let mut body = vec![u8::try_from(name.len()).unwrap()];
    body.extend(name.as_bytes());
    body.extend(data);
    let mut section = vec![0];
    let mut size = body.len();
    while size > 127 {
        section.push(u8::try_from(size & 127).unwrap() | 128);
        size >>= 7;
    }
    section.push(u8::try_from(size).unwrap());
    section.extend(body);
    section
}

#[test]
fn what_is_read_is_what_the_engine_reads() {
    let (sandbox, _folder) = sandbox();
    let effects = r#"(import "ops:capability/effects@0.1.0" "perform" (func (param i32 i32)))"#;
    for imports in ["", NOW, effects] {
        let bytes = Guest { imports, ..Guest::default() }.build();
        let (read, loaded) = (inspect(&bytes).unwrap(), sandbox.load(&bytes).unwrap());
        let names = |items: &[Item]| items.iter().map(|item| item.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&read.imports), loaded.imports());
        assert_eq!(names(&read.exports), loaded.exports());
        assert_eq!(read.interface, loaded.interface_digest());
        assert_eq!(read.size, bytes.len() as u64);
    }
}

#[test]
fn other_shapes_have_the_engines_digest_too() {
    let (sandbox, _folder) = sandbox();
    for text in [
        "(component)",
        r#"(component (import "a" (func)) (import "b" (func)))"#,
        r#"(component (import "r" (type (sub resource))) (import "f" (func (param "x" (borrow 0)))))"#,
        r#"(component (type (record (field "a" u8))) (import "t" (type (eq 0))) (export "u" (type 0)))"#,
        r#"(component (import "m" (core module (import "a" "b" (func)))))"#,
        r#"(component (import "i:j/k@1.0.0" (instance (export "r" (type (sub resource))) (type $t (enum "x"))
            (export "e" (type (eq $t))) (export "[method]r.go" (func (param "self" (borrow 0)))) (export "f" (func)))))"#,
        r#"(component (component $c) (instance $i (instantiate $c)) (export "x" (instance $i)))"#,
    ] {
        let bytes = wat::parse_str(text).unwrap();
        let read = inspect(&bytes).unwrap();
        match sandbox.load(&bytes) {
            Ok(loaded) => assert_eq!(read.interface, loaded.interface_digest(), "{text}"),
            Err(error) => panic!("{text}: {error}"),
        }
    }
}

#[test]
fn functions_are_told_by_name() {
    let bytes = Guest { imports: NOW, ..Guest::default() }.build();
    let read = inspect(&bytes).unwrap();
    let clock =
        read.imports.iter().find(|item| item.name.starts_with("wasi:clocks/monotonic-clock")).unwrap();
    assert_eq!((clock.kind, clock.functions.as_slice()), ("instance", ["now".to_owned()].as_slice()));
    assert_eq!(read.exports[0].functions, ["describe", "run"]);
    assert_eq!((read.parts[0].kind, read.parts[0].depth), ("component", 0));
    assert_eq!((read.parts[1].kind, read.parts[1].depth), ("module", 1));
    assert!(read.parts[1].size < read.size);
}

#[test]
fn claims_are_taken_from_the_outside_in_and_made_visible() {
    let inner = wat::parse_str(
        r#"(module $inner (@custom "source" "https://inner.example") (@custom "revision" "abc"))"#,
    );
    let mut bytes = wat::parse_str("(component $outer)").unwrap();
    let module = inner.unwrap();
    bytes.extend([1, u8::try_from(module.len()).unwrap()]);
    bytes.extend(module);
    bytes.extend(section("version", b"1.2.3"));
    bytes.extend(section("version", b"9.9.9"));
    bytes.extend(section("authors", "Eve\u{202e}\u{1b}[2J".as_bytes()));
    bytes.extend(section("licenses", "x".repeat(5_000).as_bytes()));
    bytes.extend(section("homepage", b"\xff"));
    bytes.extend(section("description", b""));
    bytes.extend(section(".dep-v0", &[0; 300]));
    bytes.extend(section("producers", b"\x01\x03sdk\x01\x04tool\x011"));
    let claims = inspect(&bytes).unwrap().claims;
    assert_eq!(claims.name.as_deref(), Some("outer"));
    assert_eq!(claims.version.as_deref(), Some("1.2.3"));
    assert_eq!(claims.authors.as_deref(), Some("Eve\\u{202e}\\u{1b}[2J"));
    assert_eq!(claims.source.as_deref(), Some("https://inner.example"));
    assert_eq!(claims.revision.as_deref(), Some("abc"));
    assert_eq!(claims.licence.unwrap().len(), 400);
    assert_eq!((claims.homepage, claims.description), (None, None));
    assert!(claims.dependencies.unwrap().contains("300 bytes"));
    assert_eq!(claims.unreadable, ["homepage"]);
    assert_eq!(claims.tools, [claims::Tool { role: "sdk".into(), name: "tool".into(), version: "1".into() }]);
}

#[test]
fn what_is_no_component_is_told_apart() {
    let component = Guest { imports: NOW, ..Guest::default() }.build();
    for (bytes, expected) in [
        (&b""[..], "not WebAssembly"),
        (b"#!/bin/sh\n", "not WebAssembly"),
        (b"\0asm", "broken or cut-off"),
        (b"\0asm\x01\0\0\0", "core WebAssembly module"),
        (b"\0asm\x63\0\0\0", "broken or cut-off"),
        (&component[..component.len() / 2], "broken or cut-off"),
        (&component[..component.len() - 1], "broken or cut-off"),
    ] {
        let error = inspect(bytes).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
    assert!(matches!(inspect(&vec![0; COMPONENT_BYTES + 1]), Err(InspectError::TooLarge { .. })));
}

#[test]
fn too_many_names_are_refused_before_they_are_kept() {
    let many = |count: usize| {
        let imports: String = (0..count).map(|number| format!("(import \"a{number}\" (func))")).collect();
        wat::parse_str(format!("(component {imports})")).unwrap()
    };
    assert_eq!(inspect(&many(ITEMS)).unwrap().imports.len(), ITEMS);
    assert!(matches!(inspect(&many(ITEMS + 1)), Err(InspectError::TooMuch("1,000 imports"))));
    // One long interface, imported again and again: a few bytes each time, and all its names.
    let functions: String =
        (0..100).map(|number| format!("(export \"{}{number}\" (func))", "x".repeat(1_000))).collect();
    let imports: String =
        (0..100).map(|number| format!("(import \"a:b/c{number}\" (instance (type 0)))")).collect();
    let long = wat::parse_str(format!("(component (type (instance {functions})) {imports})")).unwrap();
    assert!(matches!(inspect(&long), Err(InspectError::TooMuch(_))));
}

/// Components within each other.
fn nested(depth: usize) -> Vec<u8> {
    let header = b"\0asm\x0d\0\x01\0";
    // From the inside out, each section's length in as many bytes as it takes.
    let mut sections = Vec::new();
    let mut size = header.len();
    for _ in 1..depth {
        let mut section = vec![4];
        let mut rest = size;
        while rest > 127 {
            section.push(u8::try_from(rest & 127).unwrap() | 128);
            rest >>= 7;
        }
        section.push(u8::try_from(rest).unwrap());
        size += header.len() + section.len();
        sections.push(section);
    }
    let around = sections.iter().rev().flat_map(|section| [&header[..], section].concat());
    around.chain(header.iter().copied()).collect()
}

#[test]
fn parts_within_each_other_are_bounded() {
    let read = inspect(&nested(OPEN)).unwrap();
    assert_eq!((read.parts.len(), read.parts.last().unwrap().depth), (OPEN, OPEN - 1));
    for depth in [OPEN + 1, 20_000] {
        let refused = inspect(&nested(depth)).unwrap_err();
        assert!(matches!(refused, InspectError::TooMuch("64 parts within each other")), "{refused}");
    }
}

#[test]
fn further_parts_are_counted() {
    let modules = "(core module)".repeat(PARTS + 9);
    let read = inspect(&wat::parse_str(format!("(component {modules})")).unwrap()).unwrap();
    assert_eq!((read.parts.len(), read.further_parts), (PARTS, 10));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn changed_components_end_in_an_answer(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
        short in prop::bool::weighted(0.2),
    ) {
        let mut bytes = Guest { imports: NOW, ..Guest::default() }.build();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if short {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(read) = inspect(&bytes) {
            prop_assert!(read.parts.len() <= PARTS);
        }
    }

    #[test]
    fn any_bytes_end_in_an_answer(tail in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = inspect(&[b"\0asm\x0d\0\x01\0".as_slice(), &tail].concat());
    }
}
