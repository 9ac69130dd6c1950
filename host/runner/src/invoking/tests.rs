use std::sync::{Barrier, Mutex};

use super::*;

fn call(name: &str) -> Call {
    Call { capability: name.to_owned(), arguments: "{}".to_owned() }
}

fn output(text: impl Into<String>) -> Invoked {
    Invoked { run: Some("R1".to_owned()), milliseconds: 1, outcome: Ok(text.into()) }
}

fn caller(one: impl Fn(&Call, watch::Receiver<bool>) -> Invoked + Send + Sync + 'static) -> Caller {
    Caller::with(Arc::new(one), watch::channel(false).1)
}

#[tokio::test]
async fn answers_come_in_the_order_of_the_calls_and_only_to_what_is_granted() {
    // The first one waits for the second, so they are under way together.
    let both = Barrier::new(2);
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = asked.clone();
    let caller = caller(move |call, _| {
        both.wait();
        seen.lock().unwrap().push(call.capability.clone());
        output(call.capability.clone())
    });
    let calls = [call("a.b"), call("not.granted"), call("c.d")];
    let answers = caller.call(&calls, |name| name != "not.granted").await;
    let outputs: Vec<_> = answers.iter().map(|answer| answer.outcome.clone()).collect();
    assert_eq!((&outputs[0], &outputs[2]), (&Ok("a.b".to_owned()), &Ok("c.d".to_owned())));
    assert!(
        matches!(&outputs[1], Err(CallError::NotGranted(why)) if why.contains("`not.granted` under `invoke:`")),
        "{outputs:?}"
    );
    assert_eq!((answers[1].run.as_ref(), asked.lock().unwrap().len()), (None, 2));
}

#[tokio::test]
async fn few_are_under_way_at_a_time() {
    let (now, most) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let highest = most.clone();
    let caller = caller(move |_, _| {
        highest.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(std::time::Duration::from_millis(2));
        now.fetch_sub(1, Ordering::SeqCst);
        output("{}")
    });
    let calls: Vec<_> = (0..40).map(|number| call(&format!("a.n{number}"))).collect();
    assert_eq!(caller.call(&calls, |_| true).await.len(), 40);
    assert!((1..=AT_ONCE).contains(&most.load(Ordering::SeqCst)), "{most:?}");
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_is_cancelled() {
    let (told, heard) = std::sync::mpsc::channel();
    let told = Mutex::new(told);
    let caller = caller(move |_, mut cancel| {
        let engine = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let cancelled = engine.block_on(cancel.wait_for(|cancelled| *cancelled)).is_ok();
        told.lock().unwrap().send(cancelled).unwrap();
        output("{}")
    });
    let calls = [call("a.b")];
    tokio::select! {
        biased;
        _ = caller.call(&calls, |_| true) => panic!("it waits until it is cancelled"),
        () = tokio::task::yield_now() => {}
    }
    assert!(tokio::task::spawn_blocking(move || heard.recv().unwrap()).await.unwrap());
}

#[tokio::test]
async fn what_panics_or_is_too_long_is_no_answer() {
    let caller = caller(|call, _| {
        if call.capability == "a.panic" {
            std::panic::resume_unwind(Box::new("it"));
        }
        output("x".repeat(MAX_ANSWERS / 2 + 1))
    });
    let answers = caller.call(&[call("a.panic"), call("a.one"), call("a.two")], |_| true).await;
    let why = |number: usize| match &answers[number].outcome {
        Err(CallError::Failed(why)) => why.clone(),
        other => panic!("{other:?}"),
    };
    assert!(why(0).contains("the host failed"), "{}", why(0));
    // Which of the two came first, nobody can say.
    let long: Vec<_> = answers[1..].iter().filter(|answer| answer.outcome.is_err()).collect();
    assert_eq!(long.len(), 1);
    assert!(
        matches!(&long[0].outcome, Err(CallError::Failed(why)) if why.contains("longer than 16 MiB together"))
    );
}

#[test]
fn what_may_change_something_is_not_called_and_calls_do_not_go_on_for_ever() {
    let called = |depth| Cause::Called { by: "R1".to_owned(), depth };
    assert_eq!(admit(&called(MAX_DEPTH), true), Ok(()));
    assert_eq!(admit(&called(MAX_DEPTH + 1), true).unwrap_err().code, Some("limit-depth"));
    assert_eq!(admit(&called(1), false).unwrap_err().code, Some(NOT_READ_ONLY));
    for cause in [Cause::Asked, Cause::Started { by: "R1".to_owned() }] {
        assert_eq!(admit(&cause, false), Ok(()));
    }
}
