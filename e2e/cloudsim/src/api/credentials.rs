//! Authentication: access keys, the STS credentials of RAM roles, and the time stamps and nonces of requests. All times
//! are the gateway's.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::signature::Claim;
use crate::model::ApiError;
use crate::model::error;
use crate::world::{Credential, RamRole, World};

/// How long expired credentials are remembered, so that their use gets another error than the use of unknown ones.
const EXPIRED_KEPT: SignedDuration = SignedDuration::from_hours(24);

/// Temporary credentials.
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
    active: bool,
}

/// All keys, and the nonces that they have used.
pub struct KeyRing {
    keys: HashMap<String, Key>,
    roles: BTreeMap<String, RamRole>,
    account: String,
    /// The credentials that the metadata service hands out, by role.
    handed_out: HashMap<String, RoleCredential>,
    /// Hashes of key and nonce. A hash is small, so an hour of nonces stays small at any rate of calls.
    nonces: HashSet<u64>,
    nonce_order: VecDeque<(Timestamp, u64)>,
    tolerance: Duration,
    random: StdRng,
}

impl KeyRing {
    /// The keys of a world.
    pub fn new(world: &World, seed: u64) -> KeyRing {
        let role = |role: &RamRole| (role.name.clone(), role.clone());
        let mut ring = KeyRing {
            keys: HashMap::new(),
            roles: world.ram_roles.iter().map(role).collect(),
            account: world.account_id.clone(),
            handed_out: HashMap::new(),
            nonces: HashSet::new(),
            nonce_order: VecDeque::new(),
            tolerance: world.rules.timestamp_tolerance.0,
            // The seed differs from that of the ids, so that the random streams are independent.
            random: StdRng::seed_from_u64(seed ^ 0x5354_5321),
        };
        for credential in &world.credentials {
            ring.add(credential.clone());
        }
        ring
    }

    /// The id of the account.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// A RAM role by name.
    pub fn role(&self, name: &str) -> Option<&RamRole> {
        self.roles.get(name)
    }

    /// Checks a claim: key, token, time stamp, signature, and that its nonce is new.
    pub fn admit(&mut self, claim: &Claim, now: Timestamp) -> Result<(), ApiError> {
        let key = self
            .keys
            .get(&claim.access_key_id)
            .ok_or_else(|| error::ACCESS_KEY_NOT_FOUND.because("Specified access key is not found."))?;
        if !key.active {
            return Err(error::ACCESS_KEY_INACTIVE.because("Specified access key is disabled."));
        }
        key.check_token(claim.security_token.as_deref(), now)?;
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
        // A time stamp is valid for the tolerance in both directions, so nonces are kept for twice the tolerance.
        while let Some((seen, _)) = self.nonce_order.front() {
            if now.duration_since(*seen).unsigned_abs() <= self.tolerance.saturating_mul(2) {
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

    /// The credentials that instances with this RAM role get. They are replaced when half of their life is over.
    pub fn role_credential(&mut self, role: &str, now: Timestamp) -> Option<RoleCredential> {
        let life = self.roles.get(role)?.life.0;
        if let Some(held) = self.handed_out.get(role)
            && held.expires > now
            && held.expires.duration_since(now).unsigned_abs() > life / 2
            && self.keys.contains_key(&held.access_key_id)
        {
            return Some(held.clone());
        }
        let minted = self.mint(life, now);
        self.handed_out.insert(role.to_owned(), minted.clone());
        Some(minted)
    }

    /// New temporary credentials.
    pub fn mint(&mut self, life: Duration, now: Timestamp) -> RoleCredential {
        self.keys.retain(|_, key| {
            key.temporary
                .as_ref()
                .is_none_or(|(_, expires)| now.duration_since(*expires) < EXPIRED_KEPT)
        });
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
        let key = Key {
            secret: minted.access_key_secret.clone(),
            temporary: Some((minted.security_token.clone(), minted.expires)),
            active: true,
        };
        self.keys.insert(minted.access_key_id.clone(), key);
        minted
    }

    /// Adds a permanent access key, or replaces the key of the same id.
    pub fn add(&mut self, credential: Credential) {
        let key = Key {
            secret: credential.access_key_secret,
            temporary: None,
            active: true,
        };
        self.keys.insert(credential.access_key_id, key);
    }

    /// Revokes an access key. Returns whether the key existed.
    pub fn revoke(&mut self, access_key_id: &str) -> bool {
        self.keys.remove(access_key_id).is_some()
    }

    /// Disables or enables an access key. Returns whether the key exists.
    pub fn set_active(&mut self, access_key_id: &str, active: bool) -> bool {
        self.keys
            .get_mut(access_key_id)
            .map(|key| key.active = active)
            .is_some()
    }

    /// Expires all temporary credentials that have been handed out.
    pub fn expire_temporary(&mut self, now: Timestamp) {
        for (_, expires) in self.keys.values_mut().filter_map(|key| key.temporary.as_mut()) {
            *expires = (*expires).min(now);
        }
        // The metadata service must not hand out expired credentials.
        self.handed_out.clear();
    }
}

impl Key {
    fn check_token(&self, sent: Option<&str>, now: Timestamp) -> Result<(), ApiError> {
        let Some((token, expires)) = &self.temporary else {
            return Ok(());
        };
        match sent {
            None => Err(error::SECURITY_TOKEN_MISSING
                .because("SecurityToken is mandatory for temporary credentials.")),
            Some(sent) if sent != token => {
                Err(error::SECURITY_TOKEN_MALFORMED.because("Specified SecurityToken is malformed."))
            }
            Some(_) if *expires <= now => {
                Err(error::SECURITY_TOKEN_EXPIRED.because("Specified SecurityToken is expired."))
            }
            Some(_) => Ok(()),
        }
    }
}
