/** Recordings as this tab may see them: the published ones, and with the tokens it holds the others of those rooms. */
import * as api from './api'
import { keepersTokens } from './tokens'

/** More rooms than that nobody keeps in one tab. */
const TOKENS_MAX = 4

/** The list, newest first. */
export async function recordings(signal?: AbortSignal): Promise<{ recordings: api.Recording[] }> {
  const own = keepersTokens()
    .slice(0, TOKENS_MAX)
    // A token that is too old takes nothing from what everybody may see.
    .map(({ token }) => api.recordings(signal, token).catch(() => ({ recordings: [] })))
  const lists = await Promise.all([api.recordings(signal), ...own])
  const byId = new Map(lists.flatMap((list) => list.recordings).map((recording) => [recording.id, recording]))
  const newestFirst = (a: api.Recording, b: api.Recording) => Date.parse(b.started) - Date.parse(a.started)
  return { recordings: [...byId.values()].sort(newestFirst) }
}

/** One recording, asked for as somebody who may change it, if this tab holds such a token. */
export async function recording(id: string, signal?: AbortSignal): Promise<api.Recording> {
  // The room is known only from the answer; the id tells which token to try first.
  for (const { token } of likelyFirst(id).slice(0, TOKENS_MAX)) {
    const found = await api.recording(id, signal, token).catch(() => null)
    if (found?.may_release) return found
  }
  return api.recording(id, signal)
}

/** The token for changing a recording. */
export function tokenToRelease(recording: api.Recording): string | null {
  return keepersTokens().find(({ room }) => room === recording.room)?.token ?? null
}

function likelyFirst(id: string) {
  const fits = (room: string) => Number(id.includes(room.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-').slice(0, 40)))
  return keepersTokens().sort((a, b) => fits(b.room) - fits(a.room))
}
