/** Clips: what was just shown, kept as a recording. */
import { signal } from '@preact/signals'
import * as api from '../api'
import { recording } from '../recordings'
import { keepAudienceToken, keepersTokens } from '../tokens'
import type { LivePlayer } from './live'

export const CLIP_S = 30
/** Dates are whole milliseconds: the oldest moment's own may lie just before it, and there is nothing to clip. */
const OLDEST_SLACK_MS = 100
const NOTHING_YET = 'Nothing can be clipped before the picture is there.'
/** What the door calls somebody who clips and is no member. */
const AUDIENCE = 'Audience'

/** From and to what, in ms since 1970, a clip is: the last seconds before what is shown, as far as they are still there. */
export function clipSpan(shown_ms: number, oldest_ms: number): [number, number] {
  return [Math.round(Math.max(shown_ms - CLIP_S * 1000, oldest_ms + OLDEST_SLACK_MS)), Math.round(shown_ms)]
}

/** Whether the server would let this tab make clips: with a token that it holds, or one that anybody gets at the door. */
export function mayClip(room: string, server: api.ServerInfo | null): boolean {
  return tokenToClip(room) !== null || doorGives(server)
}

function doorGives(server: api.ServerInfo | null): boolean {
  return server !== null && server.access === 'open' && server.open_grants.some((grant) => grant === 'roomRecord' || grant === 'roomAdmin')
}

function tokenToClip(room: string): string | null {
  return keepersTokens().find((one) => one.room === room)?.token ?? null
}

export type ClipState =
  | { is: 'making' }
  /** `recording`: none if it could not be asked for. */
  | { is: 'made'; clip: api.Clip; recording: api.Recording | null }
  | { is: 'refused'; words: string }
  | null

export class Clipping {
  readonly state = signal<ClipState>(null)
  private readonly room: string
  private readonly server: api.ServerInfo | null

  constructor(room: string, server: api.ServerInfo | null) {
    this.room = room
    this.server = server
  }

  /** One at a time. */
  async make(player: LivePlayer): Promise<void> {
    if (this.state.peek()?.is === 'making') return
    const range = player.range.peek()
    const shown_ms = player.dateAt(player.position.peek())
    const oldest_ms = range && player.dateAt(range.from)
    if (shown_ms === null || oldest_ms === null) {
      this.state.value = { is: 'refused', words: NOTHING_YET }
      return
    }
    const [from_ms, to_ms] = clipSpan(shown_ms, oldest_ms)
    // The player is there, and has shown nothing yet.
    if (to_ms <= from_ms) {
      this.state.value = { is: 'refused', words: NOTHING_YET }
      return
    }
    this.state.value = { is: 'making' }
    try {
      const clip = await this.ask({ from: new Date(from_ms).toISOString(), to: new Date(to_ms).toISOString() })
      this.state.value = { is: 'made', clip, recording: await recording(clip.id).catch(() => null) }
    } catch (thrown) {
      this.state.value = { is: 'refused', words: api.wordsOf(thrown) }
    }
  }

  /** What became of it is read. */
  hush(): void {
    this.state.value = null
  }

  private async ask(span: { from: string; to: string }): Promise<api.Clip> {
    const held = tokenToClip(this.room)
    try {
      if (held !== null) return await api.makeClip(this.room, held, span)
    } catch (thrown) {
      // A token grows old while a page is open.
      const old = thrown instanceof api.ApiError && thrown.code === 'unauthorized'
      if (!old || !doorGives(this.server)) throw thrown
    }
    const { token } = await api.join(this.room, AUDIENCE)
    keepAudienceToken(this.room, token)
    return api.makeClip(this.room, token, span)
  }
}
