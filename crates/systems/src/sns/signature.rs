//! The signature: RSA PKCS#1 over SHA-1 (version 1) or SHA-256 (version 2), with the key of a certificate.
//!
//! Owns: calling the libraries that know RSA and X.509. Not here: whether the certificate is SNS's. That it came from SNS's own host
//! over TLS is what says so.

use super::Version;
use crate::Reason;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, UnparsedPublicKey};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{AlgorithmIdentifier, CertificateDer, InvalidSignature, SignatureVerificationAlgorithm, alg_id};
use webpki::EndEntityCert;
use webpki::ring::RSA_PKCS1_2048_8192_SHA256;

/// Signature version 1. `webpki` has no SHA-1, rightly; SNS still has it as the default of every topic.
#[derive(Debug)]
struct Sha1;

impl SignatureVerificationAlgorithm for Sha1 {
    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, key)
            .verify(message, signature)
            .map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::RSA_ENCRYPTION
    }

    /// sha1WithRSAEncryption, RFC 3279. Only asked for where a certificate is checked, which this never does.
    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        AlgorithmIdentifier::from_slice(&[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05, 0x05, 0x00])
    }
}

/// The bytes of a signature in base64.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text.trim()).ok()
}

/// Whether `signature` over `message` holds with the key in `certificate`.
pub(super) fn check(certificate: &[u8], version: Version, message: &[u8], signature: &[u8]) -> Result<(), Reason> {
    let bad = || Reason::new("sns_certificate", "the signing certificate is not an X.509 certificate with an RSA key");
    let der = if certificate.trim_ascii_start().starts_with(b"-----BEGIN") {
        CertificateDer::from_pem_slice(certificate).map_err(|_| bad())?
    } else {
        CertificateDer::from(certificate)
    };
    let certificate = EndEntityCert::try_from(&der).map_err(|_| bad())?;
    let algorithm: &dyn SignatureVerificationAlgorithm = match version {
        Version::Sha1 => &Sha1,
        Version::Sha256 => RSA_PKCS1_2048_8192_SHA256,
    };
    certificate.verify_signature(algorithm, message, signature).map_err(|e| match e {
        webpki::Error::InvalidSignatureForPublicKey => {
            Reason::new("sns_signature", "the signature does not hold with the certificate's key")
        }
        _ => bad(),
    })
}
