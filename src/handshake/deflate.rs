//! How permessage-deflate is negotiated (RFC 7692 §5, §7.1).
//!
//! ```text
//!  parameter                    in an offer                              in an answer
//!  server_no_context_takeover   wish, to be granted or the offer declined   the server starts each message anew
//!  client_no_context_takeover   hint                                     order to the client
//!  server_max_window_bits=n     wish, to be granted or the offer declined   the server's window, no more than wished
//!  client_max_window_bits[=n]   orders are understood; n is a hint       order to the client, only if it understands it
//! ```

use alloc::string::ToString;

use super::extensions::{Extension, ExtensionError, Extensions};
use super::offer::Offer;
use crate::deflate::{Agreed, Context, Deflate, Direction};

const NAME: &str = "permessage-deflate";
/// How the names of extensions begin that compress messages, all of which use RSV1 (RFC 7692 §6).
const COMPRESSION: &str = "permessage-";

/// The parameters of an offer or an answer.
#[derive(Clone, Copy, Default)]
struct Params {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    /// In an offer it may be there without a value.
    client_max_window_bits: Option<Option<u8>>,
}

impl Params {
    /// RFC 7692 §7: "A server MUST decline an extension negotiation offer for this extension if any of the following
    /// conditions are met: The negotiation offer contains an extension parameter not defined for use in an offer. … with
    /// an invalid value. … multiple extension parameters with the same name." A client fails such answers.
    fn read(extension: &Extension<'_>) -> Option<Self> {
        let mut params = Self::default();
        for (name, value) in extension.params() {
            match (name, value) {
                ("server_no_context_takeover", None) if !params.server_no_context_takeover => {
                    params.server_no_context_takeover = true;
                }
                ("client_no_context_takeover", None) if !params.client_no_context_takeover => {
                    params.client_no_context_takeover = true;
                }
                ("server_max_window_bits", Some(bits)) if params.server_max_window_bits.is_none() => {
                    params.server_max_window_bits = Some(read_bits(bits)?);
                }
                ("client_max_window_bits", None) if params.client_max_window_bits.is_none() => {
                    params.client_max_window_bits = Some(None);
                }
                ("client_max_window_bits", Some(bits)) if params.client_max_window_bits.is_none() => {
                    params.client_max_window_bits = Some(Some(read_bits(bits)?));
                }
                _ => return None,
            }
        }
        Some(params)
    }

    fn write(self) -> Result<Extension<'static>, ExtensionError> {
        let mut extension = Extension::new(NAME)?;
        if self.server_no_context_takeover {
            extension = extension.with_flag("server_no_context_takeover")?;
        }
        if self.client_no_context_takeover {
            extension = extension.with_flag("client_no_context_takeover")?;
        }
        if let Some(bits) = self.server_max_window_bits {
            extension = extension.with_param("server_max_window_bits", &bits.to_string())?;
        }
        match self.client_max_window_bits {
            Some(Some(bits)) => extension.with_param("client_max_window_bits", &bits.to_string()),
            Some(None) => extension.with_flag("client_max_window_bits"),
            None => Ok(extension),
        }
    }
}

/// RFC 7692 §7.1.2: "a decimal integer value without leading zeroes between 8 to 15 inclusive".
fn read_bits(value: &str) -> Option<u8> {
    let is_canonical = value.starts_with(|first| matches!(first, '1'..='9'));
    value.parse().ok().filter(|bits| is_canonical && (8..=15).contains(bits))
}

impl Offer {
    /// Finds the first offer of permessage-deflate that can be met, and how: the extension for the answer, and what the
    /// connection is to be [told](crate::Connection::with_deflate).
    ///
    /// `None` if there is none; the connection then opens without compression. Only needed where another library does
    /// the HTTP: [`Request::accept`](super::Request::accept) does it with
    /// [`Acceptance::deflate`](super::Acceptance::deflate), and the adapters with their configuration.
    #[must_use]
    pub fn choose_deflate(&self, deflate: &Deflate) -> Option<(Extension<'static>, Agreed)> {
        let offers = self.extensions().iter().filter(|offer| offer.name() == NAME);
        offers.filter_map(|offer| Params::read(&offer)).find_map(|offer| answer(offer, deflate))
    }
}

/// What a server answers to an offer whose form is right.
fn answer(offer: Params, deflate: &Deflate) -> Option<(Extension<'static>, Agreed)> {
    let shared = deflate.context() == Context::Shared;
    let own = deflate.own_window_bits();
    let wanted = deflate.wanted_peer_window_bits();
    let answer = Params {
        server_no_context_takeover: shared || offer.server_no_context_takeover,
        // The client's hint alone is no reason: an order would triple what it sends.
        client_no_context_takeover: shared,
        // RFC 7692 §7.1.2.1: "with the same or smaller value as the offer". With 8 everything is sent uncompressed.
        server_max_window_bits: offer.server_max_window_bits.map(|bits| bits.min(own)),
        // RFC 7692 §7.1.2.2: "If a received extension negotiation offer doesn't have the "client_max_window_bits"
        // extension parameter, the corresponding extension negotiation response to the offer MUST NOT include" it.
        client_max_window_bits: match offer.client_max_window_bits {
            Some(hint) if !shared => Some(hint.unwrap_or(15).min(wanted)),
            _ => None,
        }
        // Many clients cannot compress with 8, and 15 goes without saying.
        .filter(|bits| (9..15).contains(bits))
        .map(Some),
    };
    Some((answer.write().ok()?, answer.agreed_by_server(deflate)))
}

/// The elements that a client offers, in the order of its preference.
pub(super) fn offers(deflate: &Deflate) -> impl Iterator<Item = Extension<'static>> {
    elements(deflate).filter_map(|element| element.write().ok())
}

fn elements(deflate: &Deflate) -> impl Iterator<Item = Params> {
    [Some(wishes(deflate)), fallback(deflate)].into_iter().flatten()
}

fn wishes(deflate: &Deflate) -> Params {
    let shared = deflate.context() == Context::Shared;
    let below_15 = |bits| Some(bits).filter(|bits| *bits < 15);
    Params {
        server_no_context_takeover: shared,
        client_no_context_takeover: shared,
        server_max_window_bits: below_15(deflate.wanted_peer_window_bits()).filter(|_| !shared),
        client_max_window_bits: Some(below_15(deflate.own_window_bits())),
    }
}

/// The first element without what a server has to decline if it cannot grant it, since some then refuse the handshake.
///
/// RFC 7692 §7.1.3: "if the client just prefers using a small window but wants to fall back to the "permessage-deflate" without
/// the "server_max_window_bits" extension parameter, the client can make an offer with the fallback option".
/// Node's `ws` declines a hint too, if it is below its own `clientMaxWindowBits`.
fn fallback(deflate: &Deflate) -> Option<Params> {
    let first = wishes(deflate);
    let asks = first.server_no_context_takeover
        || first.server_max_window_bits.is_some()
        || first.client_max_window_bits != Some(None);
    (asks && deflate.offers_fallback()).then_some(Params {
        client_no_context_takeover: first.client_no_context_takeover,
        client_max_window_bits: Some(None),
        ..Params::default()
    })
}

/// What a client and a server with the same settings agree on.
#[cfg(feature = "rand")]
pub(crate) fn agreed_between_equals(deflate: &Deflate) -> Option<(Agreed, Agreed)> {
    let (extension, at_server) = answer(wishes(deflate), deflate)?;
    let at_client = check(&Extensions::from_iter([extension]), deflate).ok()??;
    Some((at_client, at_server))
}

/// Whether extensions that an application chose or offered leave room for this one: there can be only one that uses RSV1.
pub(super) fn is_compatible(others: &Extensions) -> bool {
    !others.iter().any(|other| other.name().starts_with(COMPRESSION))
}

/// Returns the parameters that a server's answer to [`offers`] agrees on, if it has an answer.
///
/// RFC 7692 §7: "A client MUST _Fail the WebSocket Connection_ if the peer server accepted an extension negotiation offer
/// for this extension with an extension negotiation response meeting any of the following conditions".
pub(super) fn check(answers: &Extensions, deflate: &Deflate) -> Result<Option<Agreed>, ()> {
    let Some(answer) = answers.iter().find(|answer| answer.name() == NAME) else { return Ok(None) };
    let answer = Params::read(&answer).ok_or(())?;
    let fits = elements(deflate).any(|element| answer.fits(element));
    let order_without_value = answer.client_max_window_bits == Some(None);
    // RFC 7692 §5: no extension beside it may use RSV1.
    let rivals = answers.iter().filter(|other| other.name().starts_with(COMPRESSION)).count() > 1;
    if !fits || order_without_value || rivals {
        return Err(());
    }
    Ok(Some(answer.agreed_by_client(deflate)))
}

impl Params {
    /// Whether a server may give this answer to an offer.
    fn fits(&self, offer: Self) -> bool {
        let takes_over = offer.server_no_context_takeover && !self.server_no_context_takeover;
        let too_wide = match (offer.server_max_window_bits, self.server_max_window_bits) {
            (Some(wish), given) => given.is_none_or(|given| given > wish),
            (None, _) => false,
        };
        !takes_over && !too_wide
    }

    /// What this answer means for the server that gives it.
    fn agreed_by_server(&self, deflate: &Deflate) -> Agreed {
        let dedicated = deflate.context() == Context::Dedicated;
        Agreed { sending: self.server(dedicated), receiving: self.client(true) }
    }

    /// What this answer means for the client that gets it.
    fn agreed_by_client(&self, deflate: &Deflate) -> Agreed {
        let dedicated = deflate.context() == Context::Dedicated;
        Agreed { sending: self.client(dedicated), receiving: self.server(true) }
    }

    fn server(&self, takeover: bool) -> Direction {
        let takeover = takeover && !self.server_no_context_takeover;
        Direction::new(self.server_max_window_bits.unwrap_or(15), takeover)
    }

    fn client(&self, takeover: bool) -> Direction {
        let takeover = takeover && !self.client_no_context_takeover;
        Direction::new(self.client_max_window_bits.flatten().unwrap_or(15), takeover)
    }
}
