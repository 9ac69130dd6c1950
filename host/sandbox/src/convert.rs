//! Between the engine's types and the plain messages that cross the wall. Nothing is checked or changed here.

use ops_policy::message;

use crate::bindings::exports::ops::capability::guest;
use crate::bindings::ops::capability::{effects, invoke, report, types};

fn headers_in(headers: Vec<types::Header>) -> Vec<message::Header> {
    headers.into_iter().map(|header| message::Header { name: header.name, value: header.value }).collect()
}

fn headers_out(headers: Vec<message::Header>) -> Vec<types::Header> {
    headers.into_iter().map(|header| types::Header { name: header.name, value: header.value }).collect()
}

pub(crate) fn request(request: types::Request) -> message::Request {
    let types::Request { service, method, path, headers, body } = request;
    message::Request { service, method, path, headers: headers_in(headers), body }
}

pub(crate) fn response(response: message::Response) -> types::Response {
    let message::Response { status, headers, body } = response;
    types::Response { status, headers: headers_out(headers), body }
}

pub(crate) fn net_error(error: message::NetError) -> types::NetError {
    match error {
        message::NetError::NotGranted(text) => types::NetError::NotGranted(text),
        message::NetError::InvalidRequest(text) => types::NetError::InvalidRequest(text),
        message::NetError::Unreachable(text) => types::NetError::Unreachable(text),
        message::NetError::Tls(text) => types::NetError::Tls(text),
        message::NetError::Timeout(text) => types::NetError::Timeout(text),
        message::NetError::Connection(text) => types::NetError::Connection(text),
        message::NetError::TooLarge(text) => types::NetError::TooLarge(text),
        message::NetError::Limit(text) => types::NetError::Limit(text),
    }
}

pub(crate) fn effect(effect: effects::Effect) -> message::Effect {
    let undo = match effect.undo {
        effects::Undo::Request(undo) => message::Undo::Request(request(undo)),
        effects::Undo::ByHand(text) => message::Undo::ByHand(text),
        effects::Undo::Impossible(text) => message::Undo::Impossible(text),
    };
    message::Effect { summary: effect.summary, request: request(effect.request), undo }
}

pub(crate) fn outcome(outcome: message::Outcome) -> effects::Outcome {
    match outcome {
        message::Outcome::Planned => effects::Outcome::Planned,
        message::Outcome::Performed(answer) => effects::Outcome::Performed(response(answer)),
    }
}

pub(crate) fn call(call: invoke::Call) -> message::Call {
    let invoke::Call { capability, arguments } = call;
    message::Call { capability, arguments }
}

pub(crate) fn invoked(invoked: message::Invoked) -> invoke::Answer {
    let message::Invoked { run, milliseconds, outcome } = invoked;
    let outcome = outcome.map_err(|error| match error {
        message::CallError::NotGranted(why) => invoke::CallError::NotGranted(why),
        message::CallError::Failed(why) => invoke::CallError::Failed(why),
    });
    invoke::Answer { run, milliseconds, outcome }
}

pub(crate) fn level(level: report::Level) -> message::Level {
    match level {
        report::Level::Debug => message::Level::Debug,
        report::Level::Info => message::Level::Info,
        report::Level::Warn => message::Level::Warn,
    }
}

pub(crate) fn input(input: message::Input) -> guest::Input {
    let message::Input { arguments, config, services } = input;
    guest::Input { arguments, config, services }
}

pub(crate) fn failure(failure: guest::Failure) -> message::Failure {
    match failure {
        guest::Failure::InvalidInput(message) => message::Failure::InvalidInput { message },
        guest::Failure::NotGranted(message) => message::Failure::NotGranted { message },
        guest::Failure::Upstream(guest::Upstream { service, status, message }) => {
            message::Failure::Upstream { service, status, message }
        }
        guest::Failure::RateLimited(guest::RateLimit { service, seconds }) => {
            message::Failure::RateLimited { service, seconds }
        }
        guest::Failure::Conflict(message) => message::Failure::Conflict { message },
        guest::Failure::Incomplete(message) => message::Failure::Incomplete { message },
        guest::Failure::Failed(message) => message::Failure::Failed { message },
    }
}
