//! RSA and ECDSA in Rust, for programs without WebCrypto.

use p256::ecdsa::{Signature, VerifyingKey, signature::hazmat::PrehashVerifier};
use p256::pkcs8::DecodePublicKey;
use rsa::{Pkcs1v15Sign, RsaPublicKey};

use crate::{
    Answer, Hash, Outcome, Refused, SignatureAlgorithm, SignatureCheck, Step, Verified, digest,
};

/// Whether a signature is right.
pub fn check(wanted: &SignatureCheck) -> bool {
    let hash = wanted.algorithm.hash();
    let hashed = digest(hash, &[&wanted.message]);
    match wanted.algorithm {
        SignatureAlgorithm::RsaPkcs1(_) => {
            let padding = match hash {
                Hash::Sha1 => Pkcs1v15Sign::new::<sha1::Sha1>(),
                Hash::Sha256 => Pkcs1v15Sign::new::<sha2::Sha256>(),
                Hash::Sha384 => Pkcs1v15Sign::new::<sha2::Sha384>(),
                Hash::Sha512 => Pkcs1v15Sign::new::<sha2::Sha512>(),
                _ => return false,
            };
            let key = RsaPublicKey::from_public_key_der(&wanted.key);
            key.is_ok_and(|key| key.verify(padding, &hashed, &wanted.signature).is_ok())
        }
        SignatureAlgorithm::EcdsaP256(_) => {
            let Ok(key) = VerifyingKey::from_public_key_der(&wanted.key) else { return false };
            let Ok(signature) = Signature::from_slice(&wanted.signature) else { return false };
            key.verify_prehash(&hashed, &signature).is_ok()
        }
    }
}

/// Performs the steps of a verification until there is a verdict. `fetch` gets the document of
/// a [`Step::NeedKey`]; `None` where it cannot.
pub fn run(
    mut outcome: Outcome,
    mut fetch: impl FnMut(&Step) -> Option<Vec<u8>>,
) -> Result<Verified, Refused> {
    loop {
        let pending = match outcome {
            Outcome::Done(verdict) => return verdict,
            Outcome::Need(pending) => pending,
        };
        let answer = match pending.step() {
            Step::NeedSignatureCheck(wanted) => Answer::Checked(check(wanted)),
            // No policy of ours asks for these.
            Step::NeedMac(_) => Answer::Unavailable,
            step @ Step::NeedKey { .. } => fetch(step).map_or(Answer::Unavailable, Answer::Key),
        };
        outcome = pending.resume(answer);
    }
}
