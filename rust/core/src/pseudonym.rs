//! [`Pseudonyms`]: the only form in which a user appears in a log.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::error::{Error, Result};
use crate::format::hex;

/// The pseudonyms of one tenant. The key is scheduled once; each pseudonym starts from a copy of that.
#[derive(Clone)]
pub struct Pseudonyms {
    keyed: Hmac<Sha256>,
}

impl Pseudonyms {
    /// Pseudonyms under `salt`, of any length.
    pub fn new(salt: &[u8]) -> Result<Self> {
        Hmac::new_from_slice(salt)
            .map(|keyed| Self { keyed })
            .map_err(|e| Error::Plan(format!("salt: {e}")))
    }

    /// Lower-case hex HMAC-SHA256 (RFC 2104) of `user_id` under the salt, 64 characters.
    pub fn of(&self, user_id: &str) -> String {
        let mut mac = self.keyed.clone();
        mac.update(user_id.as_bytes());
        hex(&mac.finalize().into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_vectors_of_rfc_4231() {
        let pseudonyms = Pseudonyms::new(b"Jefe").unwrap();
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(pseudonyms.of("what do ya want for nothing?"), expected);
        let long = Pseudonyms::new(&[0xaa; 131]).unwrap();
        let expected = "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54";
        assert_eq!(
            long.of("Test Using Larger Than Block-Size Key - Hash Key First"),
            expected
        );
    }
}
