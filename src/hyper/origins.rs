//! Which web pages may open a WebSocket (RFC 6455 §10.2).

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use super::request::Valid;

/// The origins of web pages that may open a WebSocket. Clones share their contents.
///
/// Browsers send the cookies of their user with every WebSocket, whatever page opens it. A server that relies on
/// cookies must therefore check the page's origin. Programs that are not browsers send no `Origin`, and are accepted
/// unless it is [required](Self::required); they could send any origin, so that requiring it protects from nothing but
/// browsers.
///
/// ```
/// use sansocket::hyper::Origins;
///
/// let origins = Origins::list(["https://app.example", "https://localhost:8443"]);
/// # let _ = origins;
/// ```
#[derive(Clone, Default)]
pub struct Origins {
    rule: Rule,
    required: bool,
}

#[derive(Clone, Default)]
enum Rule {
    #[default]
    Any,
    List(Arc<[String]>),
    Same,
    Matching(Arc<dyn Fn(&str) -> bool + Send + Sync>),
}

impl Origins {
    /// Accepts any origin. This is the default.
    #[must_use]
    pub fn any() -> Self {
        Self::default()
    }

    /// Accepts these origins: scheme, host and, unless it is the scheme's default, port.
    ///
    /// Case, a slash at the end and a default port do not matter.
    #[must_use]
    pub fn list(origins: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let list: Vec<String> = origins.into_iter().map(|origin| normalized(origin.as_ref())).collect();
        Self { rule: Rule::List(list.into()), required: false }
    }

    /// Accepts pages of the request's own host, and of its scheme if the request carries one.
    ///
    /// An HTTP/1.1 request carries no scheme: a page of `http://` may then open a WebSocket on the same host over
    /// `https://` and the other way round. Over HTTP/2 the scheme is that of the connection to this server. If a proxy in
    /// front ends TLS, or changes the `Host`, use [`list`](Self::list).
    #[must_use]
    pub fn same() -> Self {
        Self { rule: Rule::Same, required: false }
    }

    /// Accepts the origins for which `allow` returns `true`. It is called with the origin in lower case.
    #[must_use]
    pub fn matching(allow: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self { rule: Rule::Matching(Arc::new(allow)), required: false }
    }

    /// Refuses requests without an `Origin` too.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    pub(super) fn allow(&self, request: &Valid) -> bool {
        let Some(origin) = request.offer.origin() else { return !self.required };
        match &self.rule {
            Rule::Any => true,
            Rule::List(list) => {
                let origin = normalized(origin);
                list.contains(&origin)
            }
            Rule::Same => is_same(origin, request),
            Rule::Matching(allow) => allow(origin),
        }
    }
}

fn is_same(origin: &str, request: &Valid) -> bool {
    let Some((scheme, host)) = origin.split_once("://") else { return false };
    // `app://localhost` is no page of this host.
    if !matches!(scheme, "http" | "https") {
        return false;
    }
    let same_scheme = request.scheme.as_deref().is_none_or(|other| {
        let other = match other {
            "ws" => "http",
            "wss" => "https",
            other => other,
        };
        other.eq_ignore_ascii_case(scheme)
    });
    let without_port = |host| strip_default_port(scheme, host);
    same_scheme && without_port(host).eq_ignore_ascii_case(without_port(&request.host))
}

fn normalized(origin: &str) -> String {
    let origin = origin.trim_end_matches('/').to_ascii_lowercase();
    match origin.split_once("://") {
        Some((scheme, host)) => [scheme, "://", strip_default_port(scheme, host)].concat(),
        None => origin.to_owned(),
    }
}

fn strip_default_port<'a>(scheme: &str, host: &'a str) -> &'a str {
    let port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    host.strip_suffix(port).unwrap_or(host)
}

impl fmt::Debug for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut form = f.debug_struct("Origins");
        match &self.rule {
            Rule::Any => form.field("rule", &"any"),
            Rule::List(list) => form.field("rule", list),
            Rule::Same => form.field("rule", &"same"),
            Rule::Matching(_) => form.field("rule", &"matching"),
        };
        form.field("required", &self.required).finish()
    }
}
