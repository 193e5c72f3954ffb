//! Who may call: access keys, the STS credentials of RAM roles, and the time stamps and
//! nonces of their requests.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::signature::Claim;
use crate::model::ApiError;
use crate::model::error;
use crate::world::{Credential, RamRole, World};

/// Temporary credentials as the metadata service hands them out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleCredential {
    pub access_key_id: String,
    pub access_key_secret: String,
    pub security_token: String,
    pub expires: Timestamp,
}

struct Key {
    secret: String,
    temporary: Option<(String, Timestamp)>,
}

/// All keys, and what has been seen of them.
pub struct KeyRing {
    keys: HashMap<String, Key>,
    roles: HashMap<String, Duration>,
    minted: HashMap<String, RoleCredential>,
    /// Hashes of key and nonce: an hour of them stays small at any rate of calls.
    nonces: HashSet<u64>,
    nonce_order: VecDeque<(Timestamp, u64)>,
    tolerance: Duration,
    random: StdRng,
}

impl KeyRing {
    /// The keys of a world.
    pub fn new(world: &World, seed: u64) -> KeyRing {
        let permanent = |key: &Credential| {
            (
                key.access_key_id.clone(),
                Key {
                    secret: key.access_key_secret.clone(),
                    temporary: None,
                },
            )
        };
        let role = |role: &RamRole| (role.name.clone(), role.life.0);
        KeyRing {
            keys: world.credentials.iter().map(permanent).collect(),
            roles: world.ram_roles.iter().map(role).collect(),
            minted: HashMap::new(),
            nonces: HashSet::new(),
            nonce_order: VecDeque::new(),
            tolerance: world.rules.timestamp_tolerance.0,
            // Another stream than that of the ids.
            random: StdRng::seed_from_u64(seed ^ 0x5354_5321),
        }
    }

    /// Checks a claim: key, token, time stamp, signature, and that its nonce is new.
    pub fn admit(&mut self, claim: &Claim, now: Timestamp) -> Result<(), ApiError> {
        let key = self
            .keys
            .get(&claim.access_key_id)
            .ok_or_else(|| error::ACCESS_KEY_NOT_FOUND.because("Specified access key is not found."))?;
        if let Some((token, expires)) = &key.temporary {
            match &claim.security_token {
                None => {
                    return Err(error::SECURITY_TOKEN_MISSING
                        .because("SecurityToken is mandatory for temporary credentials."));
                }
                Some(sent) if sent != token => {
                    return Err(
                        error::SECURITY_TOKEN_MALFORMED.because("Specified SecurityToken is malformed.")
                    );
                }
                Some(_) if *expires <= now => {
                    return Err(error::SECURITY_TOKEN_EXPIRED.because("Specified SecurityToken is expired."));
                }
                Some(_) => {}
            }
        }
        let sent: Timestamp = claim.timestamp.parse().map_err(|_| {
            error::TIMESTAMP_FORMAT.because("Specified time stamp or date value is not well formatted.")
        })?;
        if sent.duration_since(now).unsigned_abs() > self.tolerance {
            return Err(error::TIMESTAMP_EXPIRED.because("Specified time stamp or date value is expired."));
        }
        claim.verify(&key.secret)?;
        self.use_nonce(claim, now)
    }

    fn use_nonce(&mut self, claim: &Claim, now: Timestamp) -> Result<(), ApiError> {
        // A time stamp is good for the tolerance in both directions; so long must nonces be kept.
        while let Some((seen, _)) = self.nonce_order.front() {
            if now.duration_since(*seen).unsigned_abs() <= self.tolerance * 2 {
                break;
            }
            if let Some((_, nonce)) = self.nonce_order.pop_front() {
                self.nonces.remove(&nonce);
            }
        }
        let mut hasher = DefaultHasher::new();
        (&claim.access_key_id, &claim.nonce).hash(&mut hasher);
        let nonce = hasher.finish();
        if !self.nonces.insert(nonce) {
            return Err(error::NONCE_USED.because("Specified signature nonce was used already."));
        }
        self.nonce_order.push_back((now, nonce));
        Ok(())
    }

    /// Credentials of a RAM role, new ones when half of their life is over.
    pub fn role_credential(&mut self, role: &str, now: Timestamp) -> Option<RoleCredential> {
        let life = *self.roles.get(role)?;
        if let Some(held) = self.minted.get(role)
            && held.expires.duration_since(now).unsigned_abs() > life / 2
            && held.expires > now
        {
            return Some(held.clone());
        }
        let mut random_text = |length: usize| -> String {
            (0..length)
                .map(|_| char::from(self.random.sample(rand::distr::Alphanumeric)))
                .collect()
        };
        let minted = RoleCredential {
            access_key_id: format!("STS.{}", random_text(25)),
            access_key_secret: random_text(44),
            security_token: random_text(120),
            expires: now + life,
        };
        let temporary = Some((minted.security_token.clone(), minted.expires));
        let key = Key {
            secret: minted.access_key_secret.clone(),
            temporary,
        };
        self.keys.insert(minted.access_key_id.clone(), key);
        self.minted.insert(role.to_owned(), minted.clone());
        Some(minted)
    }

    /// Takes an access key out of service; whether it was there.
    pub fn revoke(&mut self, access_key_id: &str) -> bool {
        self.keys.remove(access_key_id).is_some()
    }
}
