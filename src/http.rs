//! Types of the `http` crate in and out of the handshake (feature `http`).

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use ::http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response as HttpResponse, StatusCode, Uri, header,
};

use crate::handshake::{
    Acceptance, ClientRequest, Excerpt, HeaderError, Offer, Refusal, RequestError, RequestHead, Response,
    ResponseHead, WriteResponseError,
};
use crate::{UriError, WebSocketUri};

impl TryFrom<&Uri> for WebSocketUri {
    type Error = UriError;

    /// Only absolute URIs with the scheme `ws`, `wss`, `http` or `https` have all that is needed.
    fn try_from(uri: &Uri) -> Result<Self, UriError> {
        Self::parse(&uri.to_string())
    }
}

impl TryFrom<&WebSocketUri> for Uri {
    type Error = ::http::Error;

    fn try_from(uri: &WebSocketUri) -> Result<Self, ::http::Error> {
        Ok(uri.to_string().parse::<Self>()?)
    }
}

impl ClientRequest {
    /// Adds all of these headers, see [`header`](Self::header).
    #[must_use]
    pub fn headers(self, headers: &HeaderMap) -> Self {
        headers.iter().fold(self, |request, (name, value)| request.header(name.as_str(), value))
    }
}

impl<T> TryFrom<&Request<T>> for ClientRequest {
    type Error = UriError;

    /// Takes URI and headers over; method, version and body do not matter.
    ///
    /// `Origin` and `Sec-WebSocket-Protocol` become what the setters of their names make of them. What the handshake
    /// writes by itself is left out: `Upgrade`, `Connection`, `Sec-WebSocket-Key` and `-Version`, and a `Host` that is
    /// the URI's. Other headers of the handshake are an error when the request is sent, as with
    /// [`header`](ClientRequest::header).
    fn try_from(request: &Request<T>) -> Result<Self, UriError> {
        let uri = WebSocketUri::try_from(request.uri())?;
        let authority = uri.authority();
        let by_itself =
            [header::UPGRADE, header::CONNECTION, header::SEC_WEBSOCKET_KEY, header::SEC_WEBSOCKET_VERSION];
        Ok(request.headers().iter().fold(Self::new(uri), |asked, (name, value)| {
            let is_host =
                *name == header::HOST && value.as_bytes().eq_ignore_ascii_case(authority.as_bytes());
            if is_host || by_itself.contains(name) {
                asked
            } else if *name == header::ORIGIN {
                asked.origin(value)
            } else if *name == header::SEC_WEBSOCKET_PROTOCOL {
                // What is no text shows as a subprotocol that cannot be sent.
                let list = String::from_utf8_lossy(value.as_bytes());
                list.split(',').fold(asked, |asked, protocol| asked.subprotocol(protocol.trim()))
            } else {
                asked.header(name.as_str(), value)
            }
        }))
    }
}

impl TryFrom<&ResponseHead> for HttpResponse<()> {
    type Error = ::http::Error;

    fn try_from(head: &ResponseHead) -> Result<Self, ::http::Error> {
        let response = Self::builder().status(head.status());
        head.headers().fold(response, |response, (name, value)| response.header(name, value)).body(())
    }
}

impl TryFrom<&Refusal> for HttpResponse<Vec<u8>> {
    type Error = ::http::Error;

    /// The body is what came of it, see [`Refusal::is_complete`].
    fn try_from(refusal: &Refusal) -> Result<Self, ::http::Error> {
        Ok(HttpResponse::<()>::try_from(refusal.head())?.map(|()| refusal.body().to_vec()))
    }
}

impl TryFrom<&RequestHead> for Request<()> {
    type Error = ::http::Error;

    /// The URI is the target as it stood in the request line.
    fn try_from(head: &RequestHead) -> Result<Self, ::http::Error> {
        let request = Self::builder().method(head.method()).uri(head.target());
        head.headers().fold(request, |request, (name, value)| request.header(name, value)).body(())
    }
}

impl Response {
    /// Adds all of these headers, see [`header`](Self::header).
    #[must_use]
    pub fn headers(self, headers: &HeaderMap) -> Self {
        headers.iter().fold(self, |response, (name, value)| response.header(name.as_str(), value))
    }
}

/// Headers of the hop are left to the library that sends it, but for the `Upgrade` of a 426, which HTTP/1.1 demands.
impl TryFrom<&Response> for HttpResponse<Vec<u8>> {
    type Error = WriteResponseError;

    fn try_from(response: &Response) -> Result<Self, WriteResponseError> {
        let (status, lines, body) = response.parts()?;
        let mut converted = Self::new(body.to_vec());
        *converted.status_mut() =
            StatusCode::from_u16(status).map_err(|_| WriteResponseError::Status(status))?;
        for line in lines {
            let (name, value) = line.map_err(WriteResponseError::Header)?;
            append(converted.headers_mut(), name, value).map_err(WriteResponseError::Header)?;
        }
        Ok(converted)
    }
}

/// Adds a header line that was checked already, so that it fails only where the `http` crate is stricter.
pub(crate) fn append(headers: &mut HeaderMap, name: &str, value: &[u8]) -> Result<(), HeaderError> {
    let excerpt = || Excerpt::new(name.as_bytes());
    let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| HeaderError::Name(excerpt()))?;
    let value = HeaderValue::from_bytes(value).map_err(|_| HeaderError::Value(excerpt()))?;
    match headers.try_append(key, value) {
        Ok(_) => Ok(()),
        // More than 32768 names.
        Err(_) => Err(HeaderError::Name(excerpt())),
    }
}

impl From<StatusCode> for Response {
    fn from(status: StatusCode) -> Self {
        Self::new(status.as_u16())
    }
}

impl<B: Into<Vec<u8>>> From<HttpResponse<B>> for Response {
    /// What the answer writes by itself is left out: `Content-Length`, `Connection`, and what else belongs to the hop.
    fn from(response: HttpResponse<B>) -> Self {
        let (mut parts, body) = response.into_parts();
        for hop in [
            header::CONTENT_LENGTH,
            header::CONNECTION,
            header::TRANSFER_ENCODING,
            header::TRAILER,
            header::UPGRADE,
            HeaderName::from_static("keep-alive"),
        ] {
            parts.headers.remove(hop);
        }
        Self::from(parts.status).headers(&parts.headers).body(body)
    }
}

impl Acceptance {
    /// Adds all of these headers to the response, see [`header`](Self::header).
    #[must_use]
    pub fn headers(self, headers: &HeaderMap) -> Self {
        headers.iter().fold(self, |acceptance, (name, value)| acceptance.header(name.as_str(), value))
    }
}

impl Offer {
    /// Like [`from_headers`](Self::from_headers), out of the map that web frameworks have.
    ///
    /// # Errors
    ///
    /// As [`from_headers`](Self::from_headers).
    pub fn from_header_map(headers: &HeaderMap) -> Result<Self, RequestError> {
        Self::from_headers(headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())))
    }
}
