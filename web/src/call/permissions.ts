/** What a member may publish, as LiveKit writes it, and the words for what they may not. */
import type { MemberChange } from '../api'

export type Source = 'camera' | 'microphone' | 'screen_share' | 'screen_share_audio'

/** LiveKit's numbers for sources (`TrackSource` in livekit_models.proto). */
const NUMBERS: Record<Source, number> = { camera: 1, microphone: 2, screen_share: 3, screen_share_audio: 4 }
const ALL = Object.keys(NUMBERS) as Source[]

/** The part of LiveKit's `ParticipantPermission` that says who may publish what. */
export interface Permission {
  canPublish: boolean
  /** Empty means every source. */
  canPublishSources: number[]
}

/** The sources a permission lets through. Nothing is known before the server said something: then all. */
export function allowedSources(permission: Permission | undefined): Set<Source> {
  if (!permission) return new Set(ALL)
  if (!permission.canPublish) return new Set()
  if (permission.canPublishSources.length === 0) return new Set(ALL)
  return new Set(ALL.filter((source) => permission.canPublishSources.includes(NUMBERS[source])))
}

/** The change that gives or takes one source and leaves the others as they are. */
export function changeOf(allowed: ReadonlySet<Source>, source: Source, give: boolean): MemberChange {
  const wanted = ALL.filter((one) => (one === source ? give : allowed.has(one)))
  // An empty list would mean "every source".
  if (wanted.length === 0) return { canPublish: false }
  return { canPublish: true, canPublishSources: wanted.length === ALL.length ? null : wanted }
}

const WORDS: Record<Source, string> = {
  camera: 'use a camera',
  microphone: 'speak',
  screen_share: 'share a screen',
  screen_share_audio: 'share sound',
}

export function refusal(sources: Source[]): string {
  const what = list(sources.map((source) => WORDS[source]), 'or')
  return `You may not ${what} here (needs: canPublish with ${list(sources, 'and')}).`
}

/** What a member is told when the room's host changes what they may publish; `null` when nothing they notice. */
export function changeInWords(before: ReadonlySet<Source>, after: ReadonlySet<Source>): string | null {
  const told: Source[] = ['camera', 'microphone', 'screen_share']
  const lost = told.filter((source) => before.has(source) && !after.has(source)).map((source) => WORDS[source])
  const won = told.filter((source) => !before.has(source) && after.has(source)).map((source) => WORDS[source])
  const said = [
    ...(lost.length > 0 ? [`You may no longer ${list(lost, 'or')} here.`] : []),
    ...(won.length > 0 ? [`You may now ${list(won, 'and')}.`] : []),
  ]
  return said.length > 0 ? said.join(' ') : null
}

function list(words: string[], last: 'and' | 'or'): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} ${last} ${words.at(-1)}`
}
