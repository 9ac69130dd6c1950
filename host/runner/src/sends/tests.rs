//! What several tries say together.

use ops_policy::message::Response;

use super::*;

fn answered(status: u16) -> Sent {
    Sent {
        response: Response { status, headers: Vec::new(), body: Vec::new() },
        address: "127.0.0.1:80".parse().unwrap(),
        bytes_sent: 1,
        bytes_received: 1,
    }
}

fn failed(sent: bool) -> SendError {
    SendError {
        error: NetError::Connection("lost".into()),
        failure: Failure::Lost,
        address: None,
        sent,
        bytes_sent: u64::from(sent),
        received: 0,
    }
}

/// The status of the answer that stands, or whether an effect may have arrived without one.
fn told(last: Result<u16, bool>, maybe_sent: bool, earlier: Option<u16>) -> Result<u16, bool> {
    match finished(last.map(answered).map_err(failed), maybe_sent, earlier.map(answered), "web") {
        Ok((sent, _)) => Ok(sent.response.status),
        Err(SendFailure::Answer { maybe_sent, .. }) => Err(maybe_sent),
        Err(SendFailure::Host { why, .. }) => panic!("{why}"),
    }
}

#[test]
fn nothing_is_told_more_rosily_than_it_was() {
    for (last, maybe_sent, earlier, expected) in [
        // One try.
        (Ok(200), false, None, Ok(200)),
        (Ok(500), false, None, Ok(500)),
        (Err(true), false, None, Err(true)),
        (Err(false), false, None, Err(false)),
        // An earlier one was lost: only a success settles it.
        (Ok(200), true, None, Ok(200)),
        (Ok(404), true, None, Err(true)),
        (Err(false), true, None, Err(true)),
        // An earlier one was answered: that it did not arrive later does not undo that.
        (Err(false), false, Some(504), Ok(504)),
        (Err(true), false, Some(504), Err(true)),
        (Err(false), true, Some(504), Err(true)),
        (Ok(200), false, Some(503), Ok(200)),
    ] {
        let told = told(last, maybe_sent, earlier);
        assert_eq!(told, expected, "last {last:?}, one lost {maybe_sent}, one answered {earlier:?}");
    }
}
