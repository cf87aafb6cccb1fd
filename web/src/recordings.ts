/** Recordings as this tab may see them: the published ones, and with the tokens it holds the others of those rooms. */
import * as api from './api'
import { timeOfDay } from './times'
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

/** What stands behind the recording's own addresses, and lets whoever has it watch. */
export function passOf(recording: api.Recording): URLSearchParams {
  return new URLSearchParams(recording.hls.split('?')[1] ?? '')
}

/** How far its copy elsewhere is, as a sentence. */
export function copyInWords({ state, to, note, next }: api.RecordingExport, recording: api.Recording['state']): string {
  if (state === 'done') return `Copied to ${to}: all of it was read back.`
  if (state === 'given up') return `Not copied to ${to}: ${note ?? 'it failed too often'}. It is tried again when the server starts anew.`
  if (recording === 'recording') return `It will be copied to ${to} when it has ended.`
  if (note === null) return `On its way to ${to}.`
  return `Not yet copied to ${to}: ${note}.${next === null ? '' : ` Tries again at ${timeOfDay(Date.parse(next))}.`}`
}

function likelyFirst(id: string) {
  const fits = (room: string) => Number(id.includes(room.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-').slice(0, 40)))
  return keepersTokens().sort((a, b) => fits(b.room) - fits(a.room))
}
