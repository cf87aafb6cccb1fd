// A page that is not ours: livekit-client as it comes from npm, on another origin than amphi's.
import path from 'node:path';
import { servePages } from './files.mjs';

const E2E = path.resolve(import.meta.dirname, '..');

/** Serves pages/sdk.html beside the SDK. */
export const serveSdk = () =>
  servePages({
    '/': { file: path.join(E2E, 'pages/sdk.html') },
    '/livekit-client.esm.mjs': { file: path.join(E2E, 'node_modules/livekit-client/dist/livekit-client.esm.mjs') },
  });

/**
 * Lets a person join by that page.
 * @param {import('./browser.mjs').Person} person
 * @param {{site: {url: string}, url: string, token: string, connections?: 'one' | 'two', codec?: string,
 *   simulcast?: 'yes' | 'no', scalability?: string, publish?: 'camera' | 'nothing', thrift?: 'yes' | 'no'}} how
 */
export async function joinBySdk(person, { site, ...how }) {
  const asked = new URLSearchParams({ connections: 'one', ...how, url: how.url.replace(/^http/, 'ws') });
  await person.open(`${site.url}/#${asked}`);
  await person.page.locator('[data-testid="state"]', { hasText: /^(published|failed)/ }).waitFor({ timeout: 30_000 });
  const state = await person.see('state').textContent();
  if (state !== 'published') throw new Error(`${person.name} could not join by livekit-client: ${state}`);
}

/** What that page shows and plays of another member. */
export const pictureOf = (person, identity) => person.page.locator(`video[data-identity="${identity}"]`);
export const soundOf = (person, identity) => person.page.locator(`audio[data-identity="${identity}"]`);

/** What of that page's camera its browser has encoded and sent so far: frames by rid. */
export const framesSent = (person) =>
  person.page.evaluate(async () => {
    const [camera] = room.localParticipant.videoTrackPublications.values();
    const sent = {};
    for (const one of (await camera.track.sender.getStats()).values()) {
      if (one.type === 'outbound-rtp') sent[one.rid ?? ''] = one.framesSent ?? 0;
    }
    return sent;
  });
