//! `amphi token`: makes access tokens on the command line.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use amphi_policy::SourceSet;
use amphi_policy::name;
use amphi_policy::token::{self, Claims, Keys, VideoGrant};
use anyhow::{Context, bail, ensure};

/// What the token shall say.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    pub room: String,
    pub identity: String,
    pub name: String,
    /// `word` or `word=value`, as `--grant` takes them.
    pub grants: Vec<String>,
    pub valid_for: Duration,
}

/// Signs a token with the first of `keys`, valid from `now`.
pub fn token(wanted: &Wanted, keys: &Keys, now: SystemTime) -> anyhow::Result<String> {
    name::room(&wanted.room).with_context(|| format!("--room {:?}", wanted.room))?;
    name::identity(&wanted.identity)
        .with_context(|| format!("--identity {:?}", wanted.identity))?;
    ensure!(
        wanted.name.len() <= name::TITLE_BYTES_MAX,
        "--name has more than {} bytes",
        name::TITLE_BYTES_MAX
    );
    let mut video = VideoGrant {
        room_join: true,
        room: Some(wanted.room.clone()),
        ..VideoGrant::default()
    };
    for grant in &wanted.grants {
        add(&mut video, grant).with_context(|| format!("--grant {grant}"))?;
    }
    let (key, secret) = keys.first().context("no key is set")?;
    let now_s = now
        .duration_since(UNIX_EPOCH)
        .context("this machine's clock stands before 1970")?
        .as_secs();
    let claims = Claims {
        sub: wanted.identity.clone(),
        name: wanted.name.clone(),
        exp: now_s.saturating_add(wanted.valid_for.as_secs()),
        nbf: Some(now_s),
        video: Some(video),
        ..Claims::default()
    };
    Ok(token::sign(&claims, key, secret))
}

fn add(video: &mut VideoGrant, grant: &str) -> anyhow::Result<()> {
    let (word, value) = grant.split_once('=').unwrap_or((grant, "true"));
    if word == "canPublishSources" {
        let names: Vec<&str> = value.split(',').map(str::trim).collect();
        let known = SourceSet::ALL.names();
        if let Some(strange) = names.iter().find(|name| !known.contains(name)) {
            bail!("no source `{strange}`; there are {}", known.join(", "));
        }
        video.can_publish_sources = names.into_iter().map(str::to_owned).collect();
        return Ok(());
    }
    let yes = match value {
        "true" => true,
        "false" => false,
        _ => bail!("`{value}` is neither true nor false"),
    };
    match word {
        "roomJoin" => video.room_join = yes,
        "roomAdmin" => video.room_admin = yes,
        "roomCreate" => video.room_create = yes,
        "roomList" => video.room_list = yes,
        "roomBroadcast" => video.room_broadcast = yes,
        "roomRecord" => video.room_record = yes,
        "canPublish" => video.can_publish = Some(yes),
        "canSubscribe" => video.can_subscribe = Some(yes),
        "canPublishData" => video.can_publish_data = Some(yes),
        "canUpdateOwnMetadata" => video.can_update_own_metadata = Some(yes),
        "hidden" => video.hidden = yes,
        "agent" => video.agent = yes,
        _ => bail!(
            "no such grant; there are roomJoin, roomAdmin, roomCreate, roomList, roomBroadcast, roomRecord, canPublish, \
             canSubscribe, canPublishData, canPublishSources, canUpdateOwnMetadata, hidden, agent"
        ),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_800_000_000);

    fn keys() -> Keys {
        Keys::new([("devkey".to_owned(), "secret".to_owned())])
    }

    fn made(grants: &[&str]) -> anyhow::Result<Claims> {
        let wanted = Wanted {
            room: "hall".into(),
            identity: "ada".into(),
            name: "Ada".into(),
            grants: grants.iter().map(|grant| grant.to_string()).collect(),
            valid_for: Duration::from_secs(60),
        };
        let text = token(&wanted, &keys(), UNIX_EPOCH + NOW)?;
        Ok(token::verify(&text, &keys(), NOW.as_secs())?)
    }

    #[test]
    fn a_token_says_what_was_asked_for() {
        let claims = made(&[
            "roomBroadcast",
            "canPublish=false",
            "canPublishSources=microphone, camera",
        ])
        .expect("a token");
        let video = claims.video.expect("a grant");
        assert_eq!(
            (claims.sub.as_str(), claims.name.as_str(), claims.exp),
            ("ada", "Ada", NOW.as_secs() + 60)
        );
        assert_eq!(
            (video.room_broadcast, video.room_record, video.can_publish),
            (true, false, Some(false))
        );
        assert_eq!(video.can_publish_sources, ["microphone", "camera"]);
    }

    #[test]
    fn a_grant_that_is_not_known_is_refused_with_the_known_ones() {
        let refused = |grant: &str| format!("{:#}", made(&[grant]).expect_err("refused"));
        assert!(refused("roomAdministrator").contains("roomAdmin,"));
        assert!(refused("canPublish=perhaps").contains("neither true nor false"));
        assert!(refused("canPublishSources=telescope").contains("screen_share_audio"));
    }
}
