//! [`request_id`]: what names a request whose caller did not.

use uuid::Uuid;

/// A UUID version 7 (RFC 9562, section 5.7), 36 characters; of one process, each is greater than those before it.
pub fn request_id() -> String {
    Uuid::now_v7().hyphenated().to_string()
}
