use super::*;

fn json_header() -> Vec<Header> {
    vec![Header { name: "content-type".to_owned(), value: "application/json".to_owned() }]
}

fn texts(values: &[&str]) -> Vec<Scalar> {
    values.iter().map(|value| Scalar::Text((*value).to_owned())).collect()
}

fn run(pointer: &str, allowed: Vec<Scalar>, body: &str) -> Result<String, BodyError> {
    let predicate = Predicate::new(pointer, allowed).unwrap();
    check(&[predicate], &[], &json_header(), Some(body.as_bytes()))
        .map(|bytes| String::from_utf8(bytes).unwrap())
}

#[test]
fn allowed_values_pass_and_the_body_is_written_anew() {
    let body = " { \"methodCalls\" : [ [\"Email/get\", {\"b\":1, \"a\":2}, \"0\"], [\"Email/query\"] ], \"using\":[] }";
    let sent = run("/methodCalls/*/0", texts(&["Email/get", "Email/query"]), body).unwrap();
    assert_eq!(sent, r#"{"methodCalls":[["Email/get",{"b":1,"a":2},"0"],["Email/query"]],"using":[]}"#);
}

#[test]
fn every_branch_must_lead_to_an_allowed_value() {
    let calls = "/methodCalls/*/0";
    let nothing = || Err(BodyError::Nothing(calls.to_owned()));
    let kind = || Err(BodyError::Kind(calls.to_owned()));
    let value = |found: &str| Err(BodyError::Value { pointer: calls.to_owned(), found: found.to_owned() });
    for (body, expected) in [
        (r#"{"methodCalls":[["Email/get"],["Email/set"]]}"#, value("\"Email/set\"")),
        (r#"{"methodCalls":[["email/get"]]}"#, value("\"email/get\"")),
        (r#"{"methodCalls":[["Email/get"],[]]}"#, nothing()),
        (r#"{"methodCalls":[["Email/get"],"Email/set"]}"#, nothing()),
        (r#"{"methodCalls":[]}"#, nothing()),
        (r#"{"methodCalls":{"x":["Email/get"]}}"#, nothing()),
        (r#"{"methodcalls":[["Email/get"]]}"#, nothing()),
        ("{}", nothing()),
        ("[]", nothing()),
        ("\"Email/get\"", nothing()),
        (r#"{"methodCalls":[[["Email/get"]]]}"#, kind()),
        (r#"{"methodCalls":[[null]]}"#, kind()),
        (r#"{"methodCalls":[[{}]]}"#, kind()),
        (r#"{"methodCalls":[[18446744073709551615]]}"#, kind()),
        (r#"{"methodCalls":[[1]]}"#, value("1")),
    ] {
        assert_eq!(run(calls, texts(&["Email/get"]), body), expected, "{body}");
    }
}

#[test]
fn values_are_equal_in_type_too() {
    for (allowed, body, ok) in [
        (Scalar::Int(214), r#"{"v":214}"#, true),
        (Scalar::Int(214), r#"{"v":"214"}"#, false),
        (Scalar::Text("214".to_owned()), r#"{"v":214}"#, false),
        (Scalar::Bool(true), r#"{"v":true}"#, true),
        (Scalar::Bool(true), r#"{"v":1}"#, false),
        (Scalar::Bool(true), r#"{"v":"true"}"#, false),
    ] {
        assert_eq!(run("/v", vec![allowed.clone()], body).is_ok(), ok, "{allowed} {body}");
    }
}

#[test]
fn pointers() {
    for (pointer, body, ok) in [
        ("/a~1b/~0c", r#"{"a/b":{"~c":"x"}}"#, true),
        ("/a/1", r#"{"a":["y","x"]}"#, true),
        ("/a/01", r#"{"a":["y","x"]}"#, false),
        ("/a/2", r#"{"a":["y","x"]}"#, false),
        ("/a/-", r#"{"a":["x"]}"#, false),
        ("/a/0", r#"{"a":{"0":"x"}}"#, true),
        ("/*/*", r#"[["x","x"],["x"]]"#, true),
        ("/*/*", r#"[["x"],[]]"#, false),
        ("/", r#"{"":"x"}"#, true),
        ("/*", r#"{"a":"x"}"#, false),
        ("/*", r#"{"*":"x"}"#, false),
    ] {
        assert_eq!(run(pointer, texts(&["x"]), body).is_ok(), ok, "{pointer} {body}");
    }
    for (pointer, error) in [
        ("", PredicateError::Pointer),
        ("a/b", PredicateError::Pointer),
        ("/a~", PredicateError::Escape),
        ("/a~2", PredicateError::Escape),
    ] {
        assert_eq!(Predicate::new(pointer, texts(&["x"])), Err(error), "{pointer}");
    }
    assert_eq!(Predicate::new("/a", vec![]), Err(PredicateError::Empty));
    assert_eq!(Predicate::new(&"/a".repeat(300), texts(&["x"])), Err(PredicateError::TooLong));
}

#[test]
fn the_body_must_be_plain() {
    let predicate = [Predicate::new("/a", texts(&["x"])).unwrap()];
    let header = |name: &str, value: &str| Header { name: name.to_owned(), value: value.to_owned() };
    let body = Some(br#"{"a":"x"}"#.as_slice());
    for (headers, ok) in [
        (vec![header("content-type", "application/json")], true),
        (vec![header("content-type", "Application/JSON; charset=UTF-8")], true),
        (vec![], false),
        (vec![header("content-type", "text/plain")], false),
        (vec![header("content-type", "application/json-patch+json")], false),
        (vec![header("content-type", "application/json; charset=utf-16")], false),
        (vec![header("content-type", "application/json"), header("content-type", "text/plain")], false),
        (vec![header("content-type", "application/json"), header("content-encoding", "gzip")], false),
    ] {
        assert_eq!(check(&predicate, &[], &headers, body).is_ok(), ok, "{headers:?}");
    }
    assert_eq!(check(&predicate, &[], &json_header(), None), Err(BodyError::Missing));
    for bytes in
        [&b"{\"a\":\"x\",\"A\":\"y\"}"[..], b"{\"a\":\"x\"}{}", b"\xff\xfe{", b"", b"{\"a\":\"x\",\"b\":1.5}"]
    {
        assert!(
            matches!(check(&predicate, &[], &json_header(), Some(bytes)), Err(BodyError::Json(_))),
            "{bytes:?}"
        );
    }
}

const LOGIN: &str =
    r#"{"auth":{"user":"me","password":"[secret]"},"keys":["[secret]","x"],"note":"[secret]"}"#;

#[test]
fn secrets_are_written_over_the_placeholder() {
    for (values, filled) in [
        (vec![], LOGIN.to_owned()),
        (vec![("/auth/password", "hunter2")], LOGIN.replacen("[secret]", "hunter2", 1)),
        (
            vec![("/keys/0", "a\"b\\\n\u{1}é"), ("/auth/password", "[secret]")],
            LOGIN.replace("[\"[secret]\"", r#"["a\"b\\\n\u0001é""#),
        ),
        (vec![("/note", "")], LOGIN.replace("\"note\":\"[secret]\"", "\"note\":\"\"")),
    ] {
        let body = fill(LOGIN.as_bytes(), &values).unwrap();
        assert_eq!(String::from_utf8_lossy(&body), filled);
    }
    // The whole is written without the buffer growing, whatever the secret is made of.
    let secret = "\u{1}".repeat(5000);
    let body = fill(LOGIN.as_bytes(), &[("/note", &secret)]).unwrap();
    assert!(body.capacity() == LOGIN.len() + 30_000 && body.len() > 30_000);
}

#[test]
fn a_place_without_the_placeholder_is_not_filled() {
    for at in ["/auth/user", "/auth", "/keys", "/keys/1", "/keys/2", "/keys/*", "/none", "auth", ""] {
        let error = fill(LOGIN.as_bytes(), &[("/note", "hunter2"), (at, "hunter2")]).unwrap_err();
        assert_eq!(error, BodyError::Placeholder(at.to_owned()));
    }
    assert!(fill(LOGIN.as_bytes(), &[("/note", "a"), ("/note", "b")]).is_err());
    assert!(matches!(fill(b"{\"a\":1,\"A\":2}", &[]), Err(BodyError::Json(_))));
}

#[test]
fn a_body_is_checked_for_its_placeholders() {
    let run = |places: &[&str], body: &str| check(&[], places, &json_header(), Some(body.as_bytes()));
    assert_eq!(run(&["/auth/password", "/note"], LOGIN).unwrap(), LOGIN.as_bytes());
    assert_eq!(run(&["/note", "/auth/user"], LOGIN), Err(BodyError::Placeholder("/auth/user".to_owned())));
    assert_eq!(run(&["/note"], "{\"Note\":\"[secret]\"}"), Err(BodyError::Placeholder("/note".to_owned())));
    assert!(matches!(run(&["/note"], "{\"note\":\"[secret]\",\"x\":1e9}"), Err(BodyError::Json(_))));
}
