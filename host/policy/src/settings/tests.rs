use super::*;
use crate::manifest::Safety;
use crate::service::Tls;

fn parse(text: &str) -> Result<Settings, String> {
    Settings::parse("ops/ops.yaml", text.as_bytes()).map_err(|error| error.to_string())
}

#[test]
fn whole_and_least() {
    let settings = parse(
        "workspace: demo\nsecrets:\n  mail-token: {from: \"env:MAIL_TOKEN\", origins: [\"https://mail.example.internal\"]}\n  \
         other: {from: file:/etc/ops/token, origins: [\"https://a.example:8443\"]}\n\
         approvals: {plan: 8h, approval: 30m, self: refused, destructive: 2}\n",
    )
    .unwrap();
    assert_eq!(settings.secrets["mail-token"].origins[0].to_string(), "https://mail.example.internal:443");
    assert_eq!(settings.approvals.approval, Duration::from_secs(1800));
    assert_eq!((settings.approvals.own, settings.approvals.destructive), (Own::Refused, 2));
    assert_eq!(parse("workspace: demo").unwrap().approvals, Approvals::default());
    assert_eq!(parse("workspace: demo").unwrap().require, Require::default());
    let require = parse("workspace: demo\nrequire: {landlock: true, user: ops}").unwrap().require;
    assert_eq!(require, Require { landlock: true, user: Some("ops".to_owned()), review: None });
    let agents = parse("workspace: demo\nagents: {reader: [a, b], proposer: [ci]}").unwrap().agents;
    assert_eq!((agents["b"], agents["ci"], agents.len()), (Role::Reader, Role::Proposer, 3));
}

#[test]
fn refused() {
    for (text, message) in [
        ("{}", "the field `workspace` is missing"),
        ("workspace: Demo", "is not a name"),
        ("workspace: demo\nrecords: {retention: 59m}", "from 1h to 3650d"),
        ("workspace: demo\nrecords: {retention: 3651d}", "from 1h to 3650d"),
        ("workspace: demo\nrecords: {retention: 1y}", "write a whole number and ms, s, m, h or d"),
        ("workspace: demo\nrecords: {store: 1023KiB}", "from 1MiB to 1TiB"),
        ("workspace: demo\nrecords: {store: 1025GiB}", "from 1MiB to 1TiB"),
        ("workspace: demo\nrecords: {stores: 1GiB}", "did you mean `store`?"),
        ("workspace: demo\nrecords: 30d", "expected a map, such as {"),
        ("workspace: demo\nagents: {readers: [ci]}", "did you mean `reader`?"),
        ("workspace: demo\nagents: {reader: [Ci]}", "is not a name"),
        ("workspace: demo\nagents: {reader: [ci], proposer: [ci]}", "`ci` is listed twice, as reader before"),
        ("workspace: demo\nagents: {approver: [ci]}", "unknown field `approver`"),
        ("workspace: demo\nagents: [ci]", "expected a map, such as {"),
        ("workspace: demo\nrequire: {landlocked: true}", "did you mean `landlock`?"),
        ("workspace: demo\nrequire: true", "expected a map, such as {"),
        ("workspace: demo\nrequire: {landlock: 1}", "a boolean is written true or false"),
        (
            "workspace: demo\nrequire: {review: mutates}",
            "expected one of `read-only`, `mutating`, `destructive`",
        ),
        ("workspace: demo\nrequire: {review: [mutating]}", "expected"),
        ("workspace: demo\nrequire: {user: a b}", "not the name of a user"),
        ("workspace: demo\nrequire: {user: ''}", "not the name of a user"),
        ("workspace: demo\nsecret: {}", "did you mean `secrets`?"),
        (
            "workspace: demo\nsecrets: {a: {from: \"env:A B\", origins: [\"https://x\"]}}",
            "environment variable",
        ),
        (
            "workspace: demo\nsecrets: {a: {from: \"file:../x\", origins: [\"https://x\"]}}",
            "not a plain path",
        ),
        ("workspace: demo\nsecrets: {a: {from: hunter2, origins: [\"https://x\"]}}", "no source of a secret"),
        ("workspace: demo\nsecrets: {a: {from: \"env:A\", origins: []}}", "list at least one"),
        ("workspace: demo\nsecrets: {a: {from: \"env:A\", origins: [\"https://*.x\"]}}", "wildcards"),
        ("workspace: demo\nsecrets: {a: {from: \"env:A\"}}", "the field `origins` is missing"),
        ("workspace: demo\nsecrets: {A: {from: \"env:A\", origins: [\"https://x\"]}}", "is not a name"),
        ("workspace: demo\napprovals: {plan: 25h}", "at most 24h"),
        ("workspace: demo\napprovals: {approval: 61m}", "at most 1h"),
        ("workspace: demo\napprovals: {destructive: 0}", "from 1 to 3"),
        (
            "workspace: demo\napprovals: {self: maybe}",
            "unknown word `maybe`, expected one of `refused`, `allowed`",
        ),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.contains(message) && error.starts_with("ops/ops.yaml:"), "{text}: {error}");
    }
}

#[test]
fn records_have_an_age_and_a_size() {
    let records = |text: &str| parse(&format!("workspace: demo\n{text}")).unwrap().records;
    let (month, most) = (30 * DAY, 3650 * DAY);
    for (text, retention, store) in [
        ("", month, 2 * GIB),
        ("records: {}", month, 2 * GIB),
        ("records: {retention: 1h}", HOUR, 2 * GIB),
        ("records: {store: 1MiB}", month, MIB),
        ("records: {retention: 3650d, store: 1TiB}", most, TIB),
    ] {
        assert_eq!(records(text), Records { retention, store }, "{text}");
    }
}

#[test]
fn what_a_host_must_have_is_said() {
    let landlock = |text: &str| parse(&format!("workspace: demo\n{text}")).unwrap().require.landlock;
    assert!(!landlock("") && !landlock("require: {}") && !landlock("require: {landlock: false}"));
    assert!(landlock("require: {landlock: true}"));
}

#[test]
fn reviews_are_asked_for_from_a_class_on() {
    const CLASSES: [Safety; 3] = [Safety::ReadOnly, Safety::Mutating, Safety::Destructive];
    for (text, needed) in [
        ("", [false, false, false]),
        ("\nrequire: {}", [false, false, false]),
        ("\nrequire: {review: destructive}", [false, false, true]),
        ("\nrequire: {review: mutating}", [false, true, true]),
        ("\nrequire: {review: read-only}", [true, true, true]),
    ] {
        let require = parse(&format!("workspace: demo{text}")).unwrap().require;
        assert_eq!(CLASSES.map(|class| require.needs_review(class)), needed, "{text}");
    }
}

#[test]
fn secrets_go_only_where_they_may() {
    let binding = |origin: &str| {
        let text = format!(
            "{{capability: a.b, component: c.wasm, safety: read-only, services: {{mail: {{origin: \"{origin}\", \
             credential: {{secret: token, header: Authorization, as: \"Bearer {{}}\"}}, \
             rules: [{{id: r, method: GET, path: /, effect: read}}]}}}}}}"
        );
        Binding::parse("b.yaml", text.as_bytes()).unwrap()
    };
    let known = "workspace: demo\nsecrets: {token: {from: \"env:T\", origins: [\"https://mail.example\"]}}";
    let settings = parse(known).unwrap();
    assert_eq!(settings.admit(&binding("https://MAIL.example:443")), Ok(()));
    assert!(
        settings.admit(&binding("https://evil.example")).unwrap_err().to_string().contains("not among its")
    );
    assert!(settings.admit(&binding("https://mail.example:444")).is_err());
    let error = parse("workspace: demo").unwrap().admit(&binding("https://mail.example")).unwrap_err();
    assert!(
        error.to_string().contains("token: {from: \"env:NAME\", origins: [\"https://mail.example:443\"]}")
    );
}

const INFISICAL: &str = "workspace: demo\nsecrets:\n  client: {from: \"systemd:infisical\", origins: [\"https://vault.example\"]}\n  \
     remote: {from: \"infisical:p-1/prod/mail/smtp/PASSWORD\", origins: [\"https://mail.example\"]}\n\
     infisical: {origin: \"https://vault.example\", addresses: [10.0.0.0/8], tls: {ca: tls/ca.pem}, client_id: id-1, client_secret: client}\n";

#[test]
fn secrets_from_infisical() {
    let settings = parse(INFISICAL).unwrap();
    let infisical = settings.infisical.unwrap();
    assert_eq!(infisical.origin.to_string(), "https://vault.example:443");
    assert_eq!((infisical.client_id.as_str(), infisical.client_secret.as_str()), ("id-1", "client"));
    assert_eq!(infisical.tls, Some(Tls::Authority { ca: "tls/ca.pem".to_owned() }));
    for (old, new, why) in [
        ("infisical: {origin", "approvals: {} #{origin", "does not say where that is"),
        ("client_secret: client", "client_secret: other", "there is none of this name"),
        ("client_secret: client", "client_secret: remote", "is read from Infisical"),
        (
            "origins: [\"https://vault.example\"]",
            "origins: [\"https://vault.example:444\"]",
            "may not go to https://vault.example:443",
        ),
        (
            "{origin: \"https://vault.example\"",
            "{origin: \"http://vault.example\"",
            "plain http: is for loopback only",
        ),
        ("{origin: \"https://vault.example\"", "{origin: \"vault.example\"", "it must begin with"),
        ("[10.0.0.0/8]", "[8.8.8.8]", "globally routable"),
        ("client_id: id-1", "client_id: \"\"", "a client id is"),
        ("client_id: id-1, ", "", "the field `client_id` is missing"),
        ("client_id: id-1", "clientid: id-1", "did you mean `client_id`?"),
    ] {
        assert!(INFISICAL.contains(old), "{old}");
        let error = parse(&INFISICAL.replacen(old, new, 1)).unwrap_err();
        assert!(error.contains(why), "{new}: {error}");
    }
}

#[test]
fn sources() {
    let from = |source: &str| {
        let source = serde_json::Value::from(source);
        parse(&INFISICAL.replace("\"infisical:p-1/prod/mail/smtp/PASSWORD\"", &source.to_string()))
    };
    for source in [
        "env:A_1",
        "file:secrets/token",
        "file:/etc/ops/token",
        "systemd:mail-token",
        "infisical:p/dev/X",
        "infisical:p/dev/a/b.c/X_1",
    ] {
        assert_eq!(from(source).unwrap().secrets["remote"].from, source);
    }
    for source in [
        "env:",
        "env:1A",
        "env:A-B",
        "file:",
        "file:/",
        "file:a//b",
        "file:/../x",
        "systemd:",
        "systemd:a/b",
        "systemd:.a",
        "systemd:a b",
        "infisical:",
        "infisical:p/X",
        "infisical:p//X",
        "infisical:p/dev/",
        "infisical:p/../X",
        "infisical:p/d v/X",
        "infisical:p/dev/X?y",
        "vault:x",
        "Env:A",
        "",
    ] {
        let error = from(source).expect_err(source);
        assert!(error.contains("the secret itself does not belong here"), "{source}: {error}");
    }
    assert!(from(&format!("infisical:p/dev/{}", "a/".repeat(13) + "X")).is_ok());
    assert!(from(&format!("infisical:p/dev/{}", "a/".repeat(14) + "X")).is_err());
}

#[test]
fn a_pasted_secret_is_not_shown() {
    let long = "f9dW2kq".repeat(20);
    for secret in [
        "hunter2",
        "env:hunter2!",
        "file:../hunter2",
        "infisical:hunter2",
        "hunter2 # x",
        "hunter2: y",
        long.as_str(),
    ] {
        let quoted = serde_json::Value::from(secret);
        for text in [
            format!("workspace: demo\nsecrets:\n  a: {{from: {quoted}, origins: [\"https://x\"]}}"),
            format!("workspace: demo\nsecrets:\n  a:\n    from: {quoted}\n    origins: []\n"),
            format!("workspace: demo\nsecrets: {{a: {quoted}}}"),
            format!("workspace: demo\nsecret: {{a: {{from: {quoted}}}}}"),
            format!("{{workspace: demo, secrets: {{a: {quoted}}}}}"),
            format!("workspace: demo\nsecrets: {quoted}"),
            format!("workspace: demo\nsecrets:\n  a: {{from: [{quoted}], origins: []}}"),
            format!("workspace: demo\nsecrets:\n  a: {{form: {quoted}, origins: []}}"),
            format!("workspace: demo\nsecrets:\n  a: {{from: @{secret}, origins: []}}"),
            format!("workspace: demo\nsecrets:\n  a: {{from: \"{secret}, origins: []}}\n"),
            format!("workspace: demo\nsecrets:\n  a: {{from: &{secret}, origins: []}}\n"),
            format!("workspace: demo\nsecrets:\n  a: {{from: !{secret}, origins: []}}\n"),
            format!("workspace: demo\nsecrets:\n  a: {{from: *{secret}, origins: []}}\n"),
            format!("workspace: demo\nsecrets:\n  a: {{from: \u{200b}{secret}, origins: []}}\n"),
            format!(
                "workspace: demo\ninfisical: {{origin: \"https://x\", client_id: i, client_secret: {quoted}}}"
            ),
            format!("workspace: demo\n{quoted}: 1\n"),
        ] {
            let error = Settings::parse("ops.yaml", text.as_bytes()).expect_err(&text);
            for shown in [error.to_string(), format!("{error:?}")] {
                assert!(!shown.contains("hunter2") && !shown.contains("f9dW2kq"), "{text}\n{shown}");
            }
        }
    }
    let number = parse("workspace: demo\nsecrets: {a: {from: 271828, origins: []}}").unwrap_err();
    assert!(!number.contains("271828"), "{number}");
    let origin =
        parse("workspace: demo\nsecrets: {a: {from: \"env:A\", origins: [\"https://me:hunter2@x\"]}}")
            .unwrap_err();
    assert!(origin.contains("user names") && !origin.contains("hunter2"), "{origin}");
}

#[test]
fn secrets_in_bodies_go_only_where_they_may_too() {
    let text = "{capability: a.b, component: c.wasm, safety: mutating, approval: {mode: manual}, services: {mail: {\
        origin: \"https://mail.example\", secrets: [{name: password, at: /p, rule: r}], \
        rules: [{id: r, method: POST, path: /, effect: mutate}]}}}";
    let binding = Binding::parse("b.yaml", text.as_bytes()).unwrap();
    let settings = |origin: &str| {
        parse(&format!(
            "workspace: demo\nsecrets: {{password: {{from: \"env:P\", origins: [\"{origin}\"]}}}}"
        ))
        .unwrap()
    };
    assert_eq!(settings("https://mail.example").admit(&binding), Ok(()));
    let error = settings("https://other.example").admit(&binding).unwrap_err().to_string();
    assert!(error.contains("add there `\"https://mail.example:443\"`"), "{error}");
    let error = parse("workspace: demo").unwrap().admit(&binding).unwrap_err().to_string();
    assert!(
        error.contains("`password: {from: \"env:NAME\", origins: [\"https://mail.example:443\"]}`"),
        "{error}"
    );
}
