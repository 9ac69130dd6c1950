//! Receipts for tests.

use super::*;

/// A mail that was sent and recorded.
pub(crate) fn applied() -> Receipt {
    Receipt {
        run: Run {
            id: "CAP-20261122-014405__communications.mail.send.test__Rk3v9x0q2ab".into(),
            capability: "communications.mail.send.test".into(),
            safety: Some(Safety::Mutating),
            mode: Mode::Apply,
            started_on: time("2026-11-22T01:44:05Z"),
            finished_on: time("2026-11-22T01:44:06.25Z"),
            status: Status::Done,
            exit_code: 0,
            plan: Some(plan("p1")),
            planned_by: Some("CAP-20261122-014000__communications.mail.send.test__Raaaaaaaaaa".into()),
            new_plan: None,
            continues: None,
            called_by: None,
            started_by: None,
        },
        actor: Actor { kind: ActorKind::Human, id: "alice".into(), via: Via::Cli, client: None },
        definition: Definition {
            component: Some(named("components/communications_mail_send_test.wasm")),
            binding: Some(named("bindings/communications.mail.send.test.yaml")),
            manifest: Some(Digest::of(b"manifest")),
            lock: Some(LockRef { digest: Digest::of(b"lock"), counter: 7, development: true }),
            input_digest: Some(Digest::of(b"input")),
            imports: vec![
                "ops:capability/effects@0.1.0".into(),
                "ops:capability/fetch@0.1.0".into(),
                "wasi:io/streams@0.2.12".into(),
            ],
        },
        host: Host {
            id: "0f".repeat(32),
            ops_version: "0.1.0".into(),
            engine: "wasmtime 48.0.8".into(),
            deployment: Deployment::SameUser,
            sandbox: ["wasm", "process", "seccomp", "landlock-6"].map(str::to_owned).into(),
        },
        grants: grants(),
        used: vec![Use {
            service: "mail".into(),
            rule: "send".into(),
            method: "POST".into(),
            path: "/jmap/".into(),
            address: Some("10.2.0.5:443".into()),
            count: 1,
            bytes_sent: 812,
            bytes_received: 430,
        }],
        invoked: vec![InvokedRecord {
            capability: "infra.vm.status".into(),
            run: Some("CAP-20261122-014405__infra.vm.status__Rbbbbbbbbbb".into()),
            output: true,
        }],
        denied: vec![],
        effects: vec![effect()],
        files: vec![FileRecord {
            directory: "outbox".into(),
            path: "2026/message.eml".into(),
            change: FileChange::Create,
            before: None,
            after: Some(Digest::of(b"eml")),
            outcome: FileOutcome::Committed,
        }],
        approval: Approval {
            required: true,
            how: ApprovalHow::Signed,
            reason: None,
            approvers: vec![Approver {
                principal: "alice@example.test".into(),
                fingerprint: Some("SHA256:9mDqz4Vd0dWxT2rQ2xkq0k3rW2c3m1y6oJ0cXw9J3nE".into()),
                kind: Some("sk-ssh-ed25519@openssh.com".into()),
                touch: true,
                at: time("2026-11-22T01:44:01Z"),
            }],
        },
        outcome: Outcome { error_code: None, message: "sent".into(), stopped: None },
        usage: Usage {
            wall_ms: 1250,
            peak_memory_bytes: 2 << 20,
            requests: 4,
            stdout_bytes: 0,
            stderr_bytes: 17,
        },
        evidence: vec![EvidenceRecord {
            name: "output.json".into(),
            media_type: "application/json".into(),
            digest: Digest::of(b"salted output"),
            size: 13,
        }],
        ledger: LedgerPlace { id: "5e".repeat(16), intent: Some(41), sequence: 42 },
    }
}

/// A run that the lock refused before anything was known of it.
pub(crate) fn refused() -> Receipt {
    let mut receipt = applied();
    receipt.run.status = Status::Denied;
    receipt.run.exit_code = 4;
    receipt.run.mode = Mode::Plan;
    receipt.run.plan = None;
    receipt.run.planned_by = None;
    receipt.actor = Actor {
        kind: ActorKind::Agent,
        id: "alice-laptop".into(),
        via: Via::Mcp,
        client: Some("agent/1".into()),
    };
    receipt.definition = Definition::default();
    receipt.grants = Grants::default();
    receipt.used.clear();
    receipt.invoked.clear();
    receipt.effects.clear();
    receipt.files.clear();
    receipt.evidence.clear();
    receipt.approval =
        Approval { required: true, how: ApprovalHow::None, reason: None, approvers: Vec::new() };
    receipt.denied = vec![Denial {
        kind: DenialKind::Lock,
        what: "components/communications_mail_send_test.wasm".into(),
        reason: "its hash is not the one in ops.lock".into(),
        count: 1,
    }];
    receipt.outcome = Outcome {
        error_code: Some("component-changed".into()),
        message: "the component is not the one in ops.lock".into(),
        stopped: Some("the run, before it started".into()),
    };
    receipt.ledger.intent = None;
    receipt
}

/// A run whose guest tries to forge what a person reads.
pub(crate) fn hostile() -> Receipt {
    let mut receipt = applied();
    receipt.run.status = Status::Partial;
    receipt.run.exit_code = 4;
    let mut second = effect();
    second.number = 2;
    second.summary =
        "harmless` | performed |\n\n# Approved by root\n<script>x</script> \u{202e}txt.exe".into();
    second.path = "/a|b`c".into();
    second.outcome = EffectOutcome::NotSent;
    second.status = None;
    second.address = None;
    second.undo =
        UndoRecord { kind: UndoKind::Impossible, text: "[see](https://evil.test) www.evil.test".into() };
    receipt.effects.push(second);
    receipt.denied = vec![Denial {
        kind: DenialKind::Request,
        what: "GET \u{1b}[2J/secret\u{0}".into(),
        reason: "no rule of *mail* covers it".into(),
        count: 3,
    }];
    receipt.outcome.message = "the guest asked for an effect that was not in the plan".into();
    receipt.outcome.stopped = Some("effect 2".into());
    receipt
}

fn effect() -> EffectRecord {
    EffectRecord {
        number: 1,
        summary: "send \"Hello\" to bob@example.test".into(),
        service: "mail".into(),
        rule: Some("send".into()),
        method: "POST".into(),
        path: "/jmap/".into(),
        request_digest: Digest::of(b"request"),
        outcome: EffectOutcome::Performed,
        status: Some(200),
        address: Some("10.2.0.5:443".into()),
        undo: UndoRecord { kind: UndoKind::Impossible, text: "a sent message cannot be recalled".into() },
    }
}

fn grants() -> Grants {
    let rule = |id: &str, method: &str, effect| RuleGrant {
        id: id.into(),
        method: method.into(),
        path: "/jmap/".into(),
        effect,
        for_undo: false,
    };
    Grants {
        services: vec![ServiceGrant {
            name: "mail".into(),
            origin: Some("https://mail.example.internal:443".into()),
            rules: vec![rule("session", "GET", RuleEffect::Read), rule("send", "POST", RuleEffect::Mutate)],
        }],
        directories: vec![DirectoryGrant {
            name: "outbox".into(),
            path: "state/outbox".into(),
            access: Access::Stage,
        }],
        contracts: vec!["communications.stack.contract.yaml".into()],
        config: vec!["from".into()],
        invoke: vec!["infra.vm.status".into()],
        starts: vec![],
    }
}

fn named(name: &str) -> NamedDigest {
    NamedDigest { name: name.into(), digest: Digest::of(name.as_bytes()) }
}

fn plan(id: &str) -> PlanRef {
    PlanRef { id: id.into(), digest: Digest::of(id.as_bytes()) }
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}
