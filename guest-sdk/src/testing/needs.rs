//! Whether a manifest covers what its capability does. The host grants nothing that the manifest does not ask for,
//! so what is missing there is found in a native test already.

use crate::raw::ops::capability::types::Request;
use crate::{Manifest, NeedKind, RuleEffect, RuleNeed};

/// Header fields that every rule lets through.
const ALWAYS: &[&str] = &["accept", "content-type", "if-match", "if-none-match"];

/// Panics unless a rule of the manifest covers the request.
pub(super) fn assert_covers(manifest: &Manifest, request: &Request, reading: bool) {
    let rules = manifest.needs.iter().filter_map(|need| match &need.kind {
        NeedKind::Service(service) if service.name == request.service => Some(&service.rules),
        _ => None,
    });
    let covered =
        rules.flatten().any(|rule| (rule.effect == RuleEffect::Read) == reading && covers(rule, request));
    let kind = if reading { "read" } else { "mutate or destroy" };
    assert!(
        covered,
        "the manifest has no rule ({kind}) for {} {} of the service {}",
        request.method, request.path, request.service
    );
}

/// Panics unless the manifest names the contract.
pub(super) fn assert_contract(manifest: &Manifest, name: &str) {
    let named =
        manifest.needs.iter().any(|need| matches!(&need.kind, NeedKind::Contract(known) if known == name));
    assert!(named, "the manifest asks for no contract {name}");
}

/// Panics unless the manifest names the capability, or a family that it is of.
pub(super) fn assert_invokes(manifest: &Manifest, capability: &str) {
    let named = manifest.needs.iter().any(|need| match &need.kind {
        NeedKind::Invoke(known) => match known.strip_suffix("**") {
            Some(family) => capability.starts_with(family),
            None => known == capability,
        },
        _ => false,
    });
    assert!(named, "the manifest does not say that it calls {capability}");
}

/// Panics unless the manifest names the directory.
pub(super) fn assert_directory(manifest: &Manifest, name: &str) {
    let named = |kind: &NeedKind| matches!(kind, NeedKind::Directory(directory) if directory.name == name);
    assert!(manifest.needs.iter().any(|need| named(&need.kind)), "the manifest has no directory {name}");
}

fn covers(rule: &RuleNeed, request: &Request) -> bool {
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let keys =
        query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split('=').next().unwrap_or(pair));
    let header = |name: &str| {
        ALWAYS.iter().any(|known| known.eq_ignore_ascii_case(name))
            || rule.headers.iter().any(|listed| listed.eq_ignore_ascii_case(name))
    };
    rule.method == request.method
        && path_fits(&rule.path, path)
        && keys.into_iter().all(|key| rule.query.iter().any(|listed| listed == key))
        && request.headers.iter().all(|field| header(&field.name))
}

fn path_fits(pattern: &str, path: &str) -> bool {
    let (pattern, rest) = match pattern.strip_suffix("/**") {
        Some(front) => (front, true),
        None => (pattern, false),
    };
    let mut given = path.split('/');
    let front = pattern.split('/').all(|wanted| match given.next() {
        Some(segment) if wanted.starts_with('{') && wanted.ends_with('}') => !segment.is_empty(),
        Some(segment) => segment == wanted,
        None => false,
    });
    front && given.next().is_some() == rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, path, fits) in [
            ("/a", "/a", true),
            ("/a", "/a/", false),
            ("/a/{x}", "/a/b", true),
            ("/a/{x}", "/a/", false),
            ("/a/{x}", "/a/b/c", false),
            ("/a/{x}/c", "/a/b/c", true),
            ("/a/**", "/a/b/c", true),
            ("/a/**", "/a", false),
            ("/jmap/", "/jmap/", true),
        ] {
            assert_eq!(path_fits(pattern, path), fits, "{pattern} {path}");
        }
    }

    #[test]
    fn query_keys_and_headers_must_be_listed() {
        let rule = crate::private::rule("GET", "/a", RuleEffect::Read, &["q"], &["x-one"]);
        for (path, header, fits) in [
            ("/a", "accept", true),
            ("/a?q=1", "X-One", true),
            ("/a?q=1&r=2", "accept", false),
            ("/a", "x-two", false),
        ] {
            let request = crate::Request::get("web", path).header(header, "v");
            assert_eq!(covers(&rule, request.wire()), fits, "{path} {header}");
        }
    }
}
