//! The broker's answers as `wasi:http` has them. Its error codes carry no texts, so what happened exactly is told to
//! people by the broker alone.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use ops_policy::message::{self, Header, NetError};
use wasmtime_wasi_http::{Error, WasiBody};

/// The answer with its whole body.
pub(super) fn response(answer: Result<message::Response, NetError>) -> Result<Response<WasiBody>, Error> {
    let message::Response { status, headers, body } = answer.map_err(error)?;
    let mut response =
        Response::new(Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = StatusCode::from_u16(status).map_err(|_| Error::HttpProtocolError)?;
    *response.headers_mut() = fields(headers).ok_or(Error::HttpProtocolError)?;
    Ok(response)
}

fn fields(headers: Vec<Header>) -> Option<HeaderMap> {
    let mut fields = HeaderMap::new();
    for Header { name, value } in headers {
        let (name, value) = (HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?);
        fields.try_append(name, value).ok()?;
    }
    Some(fields)
}

fn error(error: NetError) -> Error {
    match error {
        NetError::NotGranted(_) => Error::HttpRequestDenied,
        NetError::InvalidRequest(_) => Error::HttpProtocolError,
        NetError::Unreachable(_) => Error::DestinationUnavailable,
        NetError::Tls(_) => Error::TlsProtocolError,
        NetError::Timeout(_) => Error::HttpResponseTimeout,
        NetError::Connection(_) => Error::ConnectionTerminated,
        NetError::TooLarge(_) => Error::HttpResponseBodySize(None),
        NetError::Limit(_) => Error::ConnectionLimitReached,
    }
}
