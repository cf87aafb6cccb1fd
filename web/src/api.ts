/** The server's HTTP API, typed. Every refusal becomes an `ApiError` with words that can be shown. */

export interface ServerInfo {
  version: string
  access: 'open' | 'token'
  /** What tokens from the join call allow; nothing where the door is closed. */
  open_grants: (keyof Grants)[]
  composes: boolean
  /** What is made where nobody says otherwise. */
  program: Program
  layout: Layout
  fit: CameraFit
  /** Whether a room's title is written into its composed picture, where nobody says otherwise. */
  room_title: boolean
  /** Whether members' own tracks are recorded too, where nobody says otherwise. */
  tracks: boolean
}

/** What a token allows: the `video` claim of LiveKit's tokens and our two. */
export interface Grants {
  roomJoin?: boolean
  roomAdmin?: boolean
  roomCreate?: boolean
  roomBroadcast?: boolean
  roomRecord?: boolean
  canPublish?: boolean
  canSubscribe?: boolean
  canPublishData?: boolean
  canPublishSources?: string[]
  canUpdateOwnMetadata?: boolean
  hidden?: boolean
}

export interface Joined {
  token: string
  identity: string
  room: string
  grants: Grants
}

export interface RoomSummary {
  room: string
  title: string
  members: number
  on_air: boolean
  viewers: number
  started: string | null
}

/** A room that said when it goes on air next. */
export interface AnnouncedRoom {
  room: string
  title: string
  starts: string
}

export interface Member {
  identity: string
  name: string
  camera: boolean
  microphone: boolean
  screen: boolean
}

export type BroadcastState = 'off' | 'starting' | 'on_air'
export type Program = 'auto' | 'cut' | 'compose'
export type Layout = 'grid' | 'speaker' | 'screen' | 'side-by-side' | 'audio'
/** What becomes of cameras of another shape than their places. */
export type CameraFit = 'auto' | 'crop' | 'whole'

/** How the program of a broadcast is made. */
export interface ProgramWish {
  program: Program
  layout: Layout
  fit: CameraFit
  /** Written into a composed picture; nothing if empty. */
  title: string
}

export interface Broadcast {
  state: BroadcastState
  program: string | null
  requested: Program | null
  layout: Layout | null
  fit: CameraFit | null
  /** What is written into the picture where it is composed; empty: nothing. */
  picture_title: string | null
  picture: { width: number; height: number; frames_per_second: number; sizes: number } | null
  hls: string | null
  /** Where the list of thumbnails is; none where none are made. */
  thumbnails: string | null
  /** Somebody writes captions. */
  captions: boolean
  on_air_member: { identity: string; name: string } | null
  started: string | null
  /** When it is announced to go on air next, while it is not. */
  starts: string | null
  seconds_behind: number | null
  viewers: number
  /** Of them those who see each quality ("video", "video1", …), and those who only hear ("audio"). */
  viewers_by_rendition: Record<string, number>
  note: string | null
  /** What of it who watches should know. */
  audience_note: string | null
}

export interface RecordingState {
  state: 'off' | 'recording'
  id: string | null
  started: string | null
  gaps: number
  /** Why nothing can be written at present. */
  note: string | null
}

export interface RoomState {
  room: string
  title: string
  members: Member[]
  broadcast: Broadcast
  recording: RecordingState
}

export interface Recording {
  id: string
  room: string
  title: string
  started: string
  duration_s: number
  state: 'recording' | 'ready'
  hls: string
  file: string
  size_bytes: number
  gaps: number
  /** Why nothing can be written at present. */
  note: string | null
  published: boolean
  keep_until: string | null
  export: RecordingExport | null
  may_release: boolean
}

/** A stretch of a broadcast that became a recording. */
export interface Clip {
  id: string
  started: string
  duration_s: number
  size_bytes: number
}

/** How far the copy elsewhere is. */
export interface RecordingExport {
  state: 'waiting' | 'done' | 'given up'
  /** "the bucket archive". */
  to: string
  /** What went wrong the last time, in words without a full stop. */
  note: string | null
  next: string | null
}

/** One member's track as it was sent. */
export interface Track {
  member: number
  name: string
  source: 'camera' | 'microphone' | 'screen' | 'screen_audio' | 'unknown'
  codec: string
  /** Where it begins in the recording. */
  offset_s: number
  duration_s: number
  file: string
  size_bytes: number
}

/** What happened while it was recorded. */
export type TimelineEvent = { at_s: number } & (
  | { event: 'joined'; member: number; name: string }
  | { event: 'left'; member: number }
  | { event: 'track'; track: number; member: number; source: Track['source']; muted: boolean }
  | { event: 'track_gone' | 'muted' | 'unmuted'; track: number }
  | { event: 'speaking'; members: number[] }
  | { event: 'on_air'; member: number | null }
  | { event: 'layout'; layout: string }
  | { event: 'said'; who: string; text: string }
  | { event: 'gap' | 'full' }
)

/** What may be changed about a recording; what is left out stays. */
export interface Release {
  published?: boolean
  /** A time span from now on (`30days`), or `for ever`. */
  keep_for?: string
  title?: string
}

/** What a room's administrator may change about a member while the call runs; what is left out stays. */
export interface MemberChange {
  canPublishSources?: string[] | null
  canPublish?: boolean
  canSubscribe?: boolean
  canPublishData?: boolean
}

/** A refusal or a failure. `code` is the server's word, or `unreachable` when nothing answered. */
export class ApiError extends Error {
  readonly code: string
  readonly action: string | null

  constructor(code: string, action: string | null, message: string) {
    super(message)
    this.name = 'ApiError'
    this.code = code
    this.action = action
  }
}

/** Reads the server's error body; a body that is not one (a proxy's page) becomes a plain sentence. */
export function apiErrorOf(status: number, body: unknown): ApiError {
  const error = isRecord(body) && isRecord(body.error) ? body.error : {}
  const message = typeof error.message === 'string' && error.message !== '' ? error.message : `The server answered ${status}.`
  return new ApiError(
    typeof error.code === 'string' ? error.code : codeOf(status),
    typeof error.action === 'string' ? error.action : null,
    message,
  )
}

function codeOf(status: number): string {
  if (status === 401) return 'unauthorized'
  if (status === 403) return 'not_allowed'
  if (status === 404) return 'not_found'
  return status >= 500 ? 'unavailable' : 'bad_request'
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

interface Ask {
  method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  body?: unknown
  token?: string
  signal?: AbortSignal | undefined
}

async function ask<T>(path: string, { method = 'GET', body, token, signal }: Ask = {}): Promise<T> {
  const headers: Record<string, string> = { accept: 'application/json' }
  if (body !== undefined) headers['content-type'] = 'application/json'
  if (token !== undefined) headers.authorization = `Bearer ${token}`
  let answer: Response
  try {
    answer = await fetch(path, {
      method,
      headers,
      cache: 'no-store',
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal ? { signal } : {}),
    })
  } catch (cause) {
    if (signal?.aborted) throw cause
    throw new ApiError('unreachable', null, 'The server cannot be reached. Check the connection.')
  }
  dateHeader = answer.headers.get('date')
  const said: unknown = await answer.json().catch(() => null)
  if (!answer.ok) throw apiErrorOf(answer.status, said)
  return said as T
}

let dateHeader: string | null = null

/** The `Date` of the newest answer, to tell how far this machine's clock is off. */
export function newestDateHeader(): string | null {
  return dateHeader
}

const room = (name: string) => `/api/rooms/${encodeURIComponent(name)}`

export const server = () => ask<ServerInfo>('/api/server')
export const join = (name: string, as: string) => ask<Joined>(`${room(name)}/join`, { method: 'POST', body: { name: as } })
export const rooms = (signal?: AbortSignal) => ask<{ rooms: RoomSummary[]; announced: AnnouncedRoom[] }>('/api/rooms', { signal })
export const roomState = (name: string, signal?: AbortSignal) => ask<RoomState>(room(name), { signal })
const recordingAt = (id: string) => `/api/recordings/${encodeURIComponent(id)}`
export const recordings = (signal?: AbortSignal, token?: string) =>
  ask<{ recordings: Recording[] }>('/api/recordings', { signal, ...(token === undefined ? {} : { token }) })
export const recording = (id: string, signal?: AbortSignal, token?: string) =>
  ask<Recording>(recordingAt(id), { signal, ...(token === undefined ? {} : { token }) })
export const recordingTracks = (id: string, token: string, signal?: AbortSignal) =>
  ask<{ tracks: Track[] }>(`${recordingAt(id)}/tracks`, { signal, token })
/** `query` holds the recording's pass, if it has one, and where to go on. */
export const recordingTimeline = (id: string, query: URLSearchParams, signal?: AbortSignal) =>
  ask<{ events: TimelineEvent[]; more: boolean }>(`${recordingAt(id)}/timeline?${query}`, { signal })
export const releaseRecording = (id: string, token: string, change: Release) =>
  ask<Recording>(recordingAt(id), { method: 'PATCH', body: change, token })
export const deleteRecording = (id: string, token: string) =>
  ask<{ state: 'deleted' | 'deleting' }>(recordingAt(id), { method: 'DELETE', token })

/** `null` announces nothing any more. */
export const announce = (name: string, token: string, starts: string | null) =>
  ask<{ starts: string | null }>(`${room(name)}/settings`, { method: 'PUT', body: { starts }, token })
export const startBroadcast = (name: string, token: string, wish: ProgramWish) =>
  ask<Pick<Broadcast, 'state' | 'program' | 'hls'>>(`${room(name)}/broadcast`, { method: 'POST', body: wish, token })
/** What is left out stays as it is. */
export const changeBroadcast = (name: string, token: string, change: Partial<ProgramWish>) =>
  ask<Pick<Broadcast, 'state' | 'program' | 'layout'>>(`${room(name)}/broadcast`, { method: 'PATCH', body: change, token })
export const endBroadcast = (name: string, token: string) =>
  ask<Pick<Broadcast, 'state'>>(`${room(name)}/broadcast`, { method: 'DELETE', token })
export const startRecording = (name: string, token: string, tracks: boolean) =>
  ask<Pick<RecordingState, 'state' | 'id'>>(`${room(name)}/recording`, { method: 'POST', body: { tracks }, token })
export const stopRecording = (name: string, token: string) =>
  ask<Pick<RecordingState, 'state' | 'id'>>(`${room(name)}/recording`, { method: 'DELETE', token })
/** `span`: RFC 3339, in the times that the playlists say. */
export const makeClip = (name: string, token: string, span: { from: string; to: string }) =>
  ask<Clip>(`${room(name)}/clips`, { method: 'POST', body: span, token })

const member = (name: string, identity: string) => `${room(name)}/members/${encodeURIComponent(identity)}`
export const changeMember = (name: string, token: string, identity: string, change: MemberChange) =>
  ask<unknown>(member(name, identity), { method: 'PATCH', body: change, token })
export const removeMember = (name: string, token: string, identity: string) =>
  ask<unknown>(member(name, identity), { method: 'DELETE', token })

/** Why a broadcast is reported. */
export type Reason = 'sexual' | 'violence' | 'hate' | 'against_the_law' | 'other'

/** What a viewer reported of a broadcast. */
export interface Report {
  id: number
  reason: Reason
  /** A stranger's words; may be empty. */
  words: string
  /** The moment that was shown, if it is known. */
  at: string | null
  made: string
}

export const report = (name: string, said: { reason: Reason; words: string; at: string | null }) =>
  ask<{ made: string }>(`${room(name)}/reports`, { method: 'POST', body: said })
export const reports = (name: string, token: string, signal?: AbortSignal) => ask<{ reports: Report[] }>(`${room(name)}/reports`, { signal, token })
export const reportDone = (name: string, token: string, id: number) =>
  ask<unknown>(`${room(name)}/reports/${id}`, { method: 'DELETE', token })

/** What went wrong, in words, whatever was thrown. */
export function wordsOf(thrown: unknown): string {
  if (thrown instanceof ApiError) return thrown.message
  return thrown instanceof Error && thrown.message !== '' ? thrown.message : 'Something went wrong.'
}
