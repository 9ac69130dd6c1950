use proptest::prelude::*;

use super::*;
use crate::approvers::testing::{ed25519_key, public};
use crate::sign::sign;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn now() -> Timestamp {
    "2026-11-22T12:00:00.5Z".parse().unwrap()
}

fn after(days: i64) -> Timestamp {
    now().checked_add(SignedDuration::from_hours(24 * days)).unwrap()
}

fn subject() -> Subject {
    Subject {
        workspace: "demo".to_owned(),
        capability: "communications.mail.send.test".to_owned(),
        component: Digest::of(b"component"),
        interface: Digest::of(b"interface"),
        manifest: Digest::of(b"manifest"),
        binding: Digest::of(b"binding"),
        imports: ["ops:capability/fetch@0.1.0", "wasi:io/poll@0.2.3"].map(str::to_owned).into(),
    }
}

fn review() -> Review {
    Review::new(subject(), now(), 180 * DAY).unwrap()
}

fn signed_by(number: u8, namespace: &str, review: Review) -> SignedReview {
    let signature = sign(&ed25519_key(number), namespace, review.text().as_bytes()).unwrap();
    SignedReview { review, signature }
}

fn signed() -> SignedReview {
    signed_by(1, NAMESPACE, review())
}

/// Alice may do everything, Rita reviews only, Leo signs locks only, and Otto was one until a year ago.
fn approvers() -> Approvers {
    let lines = [
        ("alice", "", 1),
        ("rita", "namespaces=\"ops-review\"", 2),
        ("leo", "namespaces=\"ops-lock,ops-plan\"", 3),
        ("otto", "valid-before=\"20251122Z\"", 4),
    ]
    .map(|(name, options, key)| format!("{name} {options} {}\n", public(&ed25519_key(key))));
    Approvers::parse("approvers", lines.concat().as_bytes()).unwrap()
}

fn word(signed: &SignedReview, pinned: &Subject, now: Timestamp) -> &'static str {
    signed.state(pinned, &approvers(), now).word()
}

#[test]
fn the_text_names_all_that_was_looked_at() {
    let digest = |of: &[u8]| Digest::of(of).to_string();
    let expected = format!(
        "ops-review v1\nworkspace demo\ncapability communications.mail.send.test\ncomponent {}\ninterface {}\n\
         manifest {}\nbinding {}\nimport ops:capability/fetch@0.1.0\nimport wasi:io/poll@0.2.3\n\
         reviewed at 2026-11-22T12:00:00Z\ngood until 2027-05-21T12:00:00Z\n",
        digest(b"component"),
        digest(b"interface"),
        digest(b"manifest"),
        digest(b"binding"),
    );
    assert_eq!(review().text(), expected);
}

#[test]
fn it_counts_by_whom_then_of_what_then_when() {
    let other = Subject { binding: Digest::of(b"another"), ..subject() };
    for (key, namespace, pinned, at, expected) in [
        (1, NAMESPACE, subject(), after(0), "valid"),
        (2, NAMESPACE, subject(), after(0), "valid"),
        (1, NAMESPACE, subject(), after(179), "valid"),
        (1, NAMESPACE, subject(), after(180), "expired"),
        (1, NAMESPACE, subject(), after(-1), "expired"),
        (1, NAMESPACE, other.clone(), after(0), "outdated"),
        (1, NAMESPACE, other.clone(), after(200), "outdated"),
        (3, NAMESPACE, subject(), after(0), "unsigned"),
        (3, NAMESPACE, other, after(200), "unsigned"),
        (4, NAMESPACE, subject(), after(0), "unsigned"),
        (5, NAMESPACE, subject(), after(0), "unsigned"),
        (1, "ops-lock", subject(), after(0), "unsigned"),
        (1, "ops-plan", subject(), after(0), "unsigned"),
    ] {
        let signed = signed_by(key, namespace, review());
        assert_eq!(word(&signed, &pinned, at), expected, "key {key}, {namespace}, {at}");
    }
    // A clock that is a little ahead is no reason; one that is far ahead would make a review last longer.
    let ahead = Review::new(subject(), after(0).checked_add(SKEW).unwrap(), DAY).unwrap();
    assert_eq!(word(&signed_by(1, NAMESPACE, ahead), &subject(), now()), "valid");
}

#[test]
fn a_signature_is_for_this_text_alone() {
    for change in [
        |review: &mut Review| review.subject.capability = "a.b".to_owned(),
        |review: &mut Review| review.subject.workspace = "other".to_owned(),
        |review: &mut Review| review.subject.component = Digest::of(b"x"),
        |review: &mut Review| review.subject.interface = Digest::of(b"x"),
        |review: &mut Review| review.subject.manifest = Digest::of(b"x"),
        |review: &mut Review| review.subject.binding = Digest::of(b"x"),
        |review: &mut Review| review.subject.imports.clear(),
        |review: &mut Review| review.expires = after(300),
        |review: &mut Review| review.at = after(-1),
    ] {
        let mut moved = signed();
        change(&mut moved.review);
        let pinned = moved.review.subject.clone();
        assert_eq!(word(&moved, &pinned, now()), "unsigned", "{:?}", moved.review);
    }
}

#[test]
fn what_differs_is_named() {
    let with = |change: fn(&mut Subject)| {
        let mut pinned = subject();
        change(&mut pinned);
        differences(&subject(), &pinned).iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    assert_eq!(with(|_| {}), "");
    for (change, expected) in [
        ((|pinned| pinned.workspace = "x".into()) as fn(&mut Subject), "another workspace"),
        (|pinned| pinned.capability = "a.b".into(), "another workspace or capability"),
        (|pinned| pinned.component = Digest::of(b"x"), "the component is 2d711642 and was"),
        (|pinned| pinned.interface = Digest::of(b"x"), "the component is"),
        (|pinned| pinned.manifest = Digest::of(b"x"), "the manifest is another one"),
        (|pinned| pinned.binding = Digest::of(b"x"), "the binding is 2d711642 and was"),
        (
            |pinned| {
                pinned.imports.insert("ops:capability/effects@0.1.0".into());
            },
            "it now imports ops:capability/effects@0.1.0 too",
        ),
        (
            |pinned| {
                pinned.imports.remove("wasi:io/poll@0.2.3");
            },
            "it no longer imports wasi:io/poll@0.2.3",
        ),
        (
            |pinned| pinned.imports = ["b:b/b".to_owned()].into(),
            "it now imports b:b/b, and no longer ops:capability/fetch@0.1.0, wasi:io/poll@0.2.3",
        ),
    ] {
        assert!(with(change).contains(expected), "{}", with(change));
    }
}

#[test]
fn what_cannot_stand_in_the_text_is_refused() {
    let subject_with = |change: fn(&mut Subject)| {
        let mut subject = subject();
        change(&mut subject);
        Review::new(subject, now(), DAY)
    };
    for (change, expected) in [
        ((|subject| subject.workspace = "a\nb".into()) as fn(&mut Subject), "names a workspace"),
        (|subject| subject.capability = "a".into(), "names a workspace and a capability"),
        (
            |subject| {
                subject.imports.insert(String::new());
            },
            "names the import",
        ),
        (
            |subject| {
                subject.imports.insert("x\ngood until never".into());
            },
            "names the import",
        ),
        (
            |subject| {
                subject.imports.insert("x".repeat(257));
            },
            "names the import",
        ),
        (
            |subject| subject.imports = (0..=1024).map(|number| number.to_string()).collect(),
            "at most 1024 imports",
        ),
    ] {
        assert!(subject_with(change).unwrap_err().to_string().contains(expected), "{expected}");
    }
    for (lifetime, fits) in [
        (Duration::ZERO, false),
        (Duration::from_millis(999), false),
        (Duration::from_secs(1), true),
        (LONGEST, true),
        (LONGEST + Duration::from_secs(1), false),
        (Duration::MAX, false),
    ] {
        assert_eq!(Review::new(subject(), now(), lifetime).is_ok(), fits, "{lifetime:?}");
    }
    assert_eq!(Review { at: now(), ..review() }.check(), Err(ReviewError::Times));
}

#[test]
fn a_file_has_one_text() {
    let file = signed().render().unwrap();
    assert_eq!(SignedReview::parse("r", &file).unwrap(), signed());
    let text = String::from_utf8(file).unwrap();
    for (from, to) in [
        ("\"workspace\"", "\"extra\": 1, \"workspace\""),
        ("\"demo\"", "\"demo\", \"workspace\": \"demo\""),
        ("  \"review\"", " \"review\""),
        ("12:00:00Z", "12:00:00+00:00"),
        ("2027-05-21T", "2029-05-21T"),
    ] {
        assert!(text.contains(from), "{from}");
        let changed = text.replacen(from, to, 1);
        assert!(SignedReview::parse("r", changed.as_bytes()).is_err(), "{from}");
    }
    assert!(SignedReview::parse("r", &vec![b' '; MAX_FILE + 1]).is_err());
    let long = SignedReview { signature: "x".repeat(MAX_SIGNATURE + 1), ..signed() };
    assert_eq!(long.render(), Err(ReviewError::Signature));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>, at in 0_usize..900, byte: u8) {
        let _ = SignedReview::parse("r", &bytes);
        let mut file = signed().render().unwrap();
        if let Some(place) = file.get_mut(at) {
            *place = byte;
        }
        if let Ok(read) = SignedReview::parse("r", &file) {
            let counts = word(&read, &subject(), now()) == "valid";
            prop_assert!(!counts || read.review == review());
        }
    }
}
