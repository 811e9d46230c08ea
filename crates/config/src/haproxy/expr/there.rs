//! What there is to look at when.

use super::{Fetch, Moment, Side};

impl Fetch {
    /// Whether there is something to look at.
    pub(crate) fn is_there(&self, moment: Moment) -> bool {
        let of = |side: Side| match side {
            Side::Request => moment == Moment::Request,
            Side::Response => moment == Moment::Response,
        };
        match self {
            Self::Version(side)
            | Self::HeaderNames(side, _)
            | Self::Cookie(side, _)
            | Self::CookieCount(side, _)
            | Self::CookieNumber(side, _) => of(*side),
            Self::Header(header)
            | Self::HeaderIp(header)
            | Self::HeaderNumber(header)
            | Self::HeaderCount(header) => of(header.side),
            Self::Url
            | Self::Path
            | Self::PathQuery
            | Self::Query
            | Self::Base
            | Self::BaseQuery
            | Self::UrlParameter { .. } => of(Side::Request),
            Self::Status | Self::ServerName => matches!(moment, Moment::Response | Moment::Log),
            Self::Constant(_)
            | Self::Variable(_)
            | Self::Random(_)
            | Self::HostName
            | Self::Date(_)
            | Self::Source
            | Self::SourcePort
            | Self::Destination
            | Self::DestinationPort
            | Self::Tls
            | Self::FrontendName
            | Self::BackendName
            | Self::FirstRequest
            | Self::IsHttp
            | Self::Gauge(..)
            | Self::Method
            | Self::CapturedMethod
            | Self::CapturedUri
            | Self::CapturedVersion => true,
        }
    }
}
