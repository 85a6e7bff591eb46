//! The two protocol eras, and a server that knows one of them only.
//!
//! A server of one era answers the opening of the other as real servers do, so that a client that probes finds out which
//! it is: a legacy one has never heard of `server/discover`, a modern one names its versions to who sends `initialize`.

use std::borrow::Cow;

use rmcp::model::{ClientRequest, ConstString as _, DiscoverRequestMethod, ErrorCode, ErrorData, ProtocolVersion};

/// What is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Era {
    /// `initialize`, up to 2025-11-25.
    Legacy,
    /// Metadata on every request, from 2026-07-28.
    Modern,
    /// Whichever the client opens with.
    Both,
}

impl Era {
    pub(crate) fn versions(self) -> Cow<'static, [ProtocolVersion]> {
        Cow::Borrowed(match self {
            Self::Legacy => ProtocolVersion::known_up_to(&ProtocolVersion::V_2025_11_25),
            Self::Modern => &[ProtocolVersion::V_2026_07_28],
            Self::Both => ProtocolVersion::KNOWN_VERSIONS,
        })
    }

    /// Why a request is not served at all.
    pub(crate) fn refusal(self, request: &ClientRequest) -> Option<ErrorData> {
        match (self, request) {
            (Self::Legacy, ClientRequest::DiscoverRequest(_)) => {
                Some(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, DiscoverRequestMethod::VALUE, None))
            }
            (Self::Modern, ClientRequest::InitializeRequest(request)) => {
                Some(ErrorData::unsupported_protocol_version(request.params.protocol_version.clone(), &self.versions()))
            }
            _ => None,
        }
    }
}

/// Whether a version belongs to the modern era. Versions are dates, and compare as such.
pub(crate) fn is_modern(version: &str) -> bool {
    version >= ProtocolVersion::V_2026_07_28.as_str()
}
