//! What many rows share.

pub(super) use crate::{
    Encoding, Hash, Keys, Location,
    Place::{
        self, All, Body, First, Form, FormJson, FormXml, Header, Key, Link, Numbered, Query, Whole,
        Xml,
    },
    Provider,
    handshake::Question,
    scheme::{
        Algorithm, CertificateAt, Check, Claim, Jwt, JwtAlgorithm, JwtPlace, KeyForm, KeySource,
        Part, Signed,
        StampAt::{self, Field},
        Syntax, Unit, UrlForm,
    },
};

type Messages = &'static [&'static [Part<'static>]];

/// `{timestamp}.{body}`
pub(super) const TIME_DOT_BODY: Messages = &[&[Part::Stamp, Part::Text("."), Part::Body]];
/// `{timestamp}{body}`
pub(super) const TIME_BODY: Messages = &[&[Part::Stamp, Part::Body]];
/// `{timestamp}:{body}`
pub(super) const TIME_COLON_BODY: Messages = &[&[Part::Stamp, Part::Text(":"), Part::Body]];
/// `v0:{timestamp}:{body}`
pub(super) const V0_TIME_BODY: Messages =
    &[&[Part::Text("v0:"), Part::Stamp, Part::Text(":"), Part::Body]];
/// `{body}{timestamp}`
pub(super) const BODY_TIME: Messages = &[&[Part::Body, Part::Stamp]];

/// A timestamp in a header of its own.
pub(super) const fn time(header: &'static str) -> StampAt<'static> {
    StampAt::Place(Header(header))
}

/// `t=<unix>,v1=<hex>` over `{timestamp}.{body}`.
pub(super) const fn paired(
    places: &'static [Place<'static>],
    signatures: &'static [&'static str],
) -> Signed<'static> {
    Signed::hmac256(places).pairs(signatures).over(TIME_DOT_BODY).stamp(
        Field("t"),
        Unit::Seconds,
        300,
    )
}

/// A token in a header, signed with RS256, with nothing tied to the request.
pub(super) const fn jwt(
    place: JwtPlace<'static>,
    algorithms: &'static [JwtAlgorithm],
    claims: &'static [Claim<'static>],
) -> Jwt<'static> {
    Jwt {
        place,
        algorithms,
        keys: KeySource::Pasted,
        issuers: &[],
        audience: false,
        claims,
        leeway: 60,
        max_age: 0,
    }
}
