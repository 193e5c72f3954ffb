//! The token file of the cluster's add-on manager. It is JSON. Its keys are encrypted with AES-CBC, and the file also
//! contains the key of the encryption, so the encryption protects nothing from a reader of the file.

use std::path::{Path, PathBuf};

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt, KeyIvInit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::Keys;

/// Length in bytes of an AES block, and of the initialisation vector before each value.
const BLOCK: usize = 16;

/// Why a token file gave no credentials.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    #[error("opening {path}: check credentialPath and the mounted Secret")]
    Open { path: PathBuf, source: std::io::Error },
    #[error("{path} is not a token file: check which Secret is mounted there")]
    Format {
        path: PathBuf,
        source: serde_json::Error,
    },
    #[error("{field} in {path} cannot be decrypted: the file is damaged or of another kind")]
    Decrypt { path: PathBuf, field: &'static str },
    #[error("{path} has the expiry {value:?}: a time like 2026-01-31T12:00:00Z is needed")]
    Expiry {
        path: PathBuf,
        value: String,
        source: jiff::Error,
    },
}

#[derive(Deserialize)]
struct TokenFile {
    #[serde(rename = "access.key.id")]
    id: String,
    #[serde(rename = "access.key.secret")]
    secret: String,
    #[serde(rename = "security.token")]
    token: String,
    expiration: String,
    keyring: String,
}

pub(super) async fn read(path: &Path) -> Result<Keys, TokenFileError> {
    let text = tokio::fs::read(path)
        .await
        .map_err(|source| TokenFileError::Open {
            path: path.to_owned(),
            source,
        })?;
    parse(path, &text)
}

fn parse(path: &Path, text: &[u8]) -> Result<Keys, TokenFileError> {
    let file: TokenFile = serde_json::from_slice(text).map_err(|source| TokenFileError::Format {
        path: path.to_owned(),
        source,
    })?;
    let open = |field, value: &str| {
        decrypt(file.keyring.as_bytes(), value).ok_or_else(|| TokenFileError::Decrypt {
            path: path.to_owned(),
            field,
        })
    };
    let expires_at = file.expiration.parse().map_err(|source| TokenFileError::Expiry {
        path: path.to_owned(),
        value: file.expiration.clone(),
        source,
    })?;
    Ok(Keys {
        id: open("access.key.id", &file.id)?,
        secret: open("access.key.secret", &file.secret)?.into(),
        security_token: Some(open("security.token", &file.token)?.into()),
        expires_at: Some(expires_at),
    })
}

/// Decrypts a value. The length of the key chooses the cipher.
fn decrypt(key: &[u8], value: &str) -> Option<String> {
    let data = STANDARD.decode(value.trim()).ok()?;
    let (iv, body) = data.split_at_checked(BLOCK)?;
    let plain = match key.len() {
        16 => cbc::Decryptor::<aes::Aes128>::new_from_slices(key, iv)
            .ok()?
            .decrypt_padded_vec::<Pkcs7>(body)
            .ok()?,
        24 => cbc::Decryptor::<aes::Aes192>::new_from_slices(key, iv)
            .ok()?
            .decrypt_padded_vec::<Pkcs7>(body)
            .ok()?,
        32 => cbc::Decryptor::<aes::Aes256>::new_from_slices(key, iv)
            .ok()?
            .decrypt_padded_vec::<Pkcs7>(body)
            .ok()?,
        _ => return None,
    };
    String::from_utf8(plain).ok()
}

#[cfg(test)]
mod tests {
    use aes::cipher::BlockModeEncrypt;
    use proptest::prelude::*;

    use super::*;

    fn encrypt(key: &[u8; 16], text: &str) -> String {
        let iv = [7u8; BLOCK];
        let mut data = iv.to_vec();
        data.extend(
            cbc::Encryptor::<aes::Aes128>::new_from_slices(key, &iv)
                .unwrap()
                .encrypt_padded_vec::<Pkcs7>(text.as_bytes()),
        );
        STANDARD.encode(data)
    }

    #[tokio::test]
    async fn a_mounted_file_gives_keys_and_their_expiry() {
        let key = b"0123456789abcdef";
        let file = serde_json::json!({
            "access.key.id": encrypt(key, "STS.id"),
            "access.key.secret": encrypt(key, "secret"),
            "security.token": encrypt(key, "a token longer than one block of the cipher"),
            "expiration": "2099-01-31T12:00:00Z",
            "keyring": "0123456789abcdef",
        });
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token-config");
        std::fs::write(&path, file.to_string()).unwrap();
        let keys = read(&path).await.unwrap();
        assert_eq!(keys.id, "STS.id");
        assert_eq!(keys.secret.reveal(), "secret");
        assert_eq!(
            keys.security_token.unwrap().reveal(),
            "a token longer than one block of the cipher"
        );
        assert_eq!(keys.expires_at.unwrap().to_string(), "2099-01-31T12:00:00Z");
    }

    #[tokio::test]
    async fn a_missing_file_is_named() {
        let error = read(Path::new("/nonexistent/token-config")).await.unwrap_err();
        assert!(error.to_string().contains("/nonexistent/token-config"));
    }

    proptest! {
        #[test]
        fn arbitrary_files_are_refused_calmly(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(parse(Path::new("/t"), &bytes).is_err());
        }

        #[test]
        fn arbitrary_values_are_refused_calmly(key in proptest::collection::vec(any::<u8>(), 0..40), value in "\\PC{0,80}") {
            let _ = decrypt(&key, &value);
            let _ = decrypt(&key, &STANDARD.encode(value.as_bytes()));
        }
    }
}
