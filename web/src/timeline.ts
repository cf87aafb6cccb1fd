/** What happened in a recording, as moments that people would look for. */
import type { TimelineEvent } from './api'

export interface Moment {
  at_s: number
  words: string
}

/** What is told at its beginning was so before. */
const BEGINNING_S = 0.5
/** Who speaks for less has said yes. */
const TURN_S = 3
const NAMES_MAX = 4

/** `length_s`: of the recording, which ends the last one's speaking. */
export function momentsOf(events: TimelineEvent[], length_s: number): Moment[] {
  const names = new Map(events.flatMap((event) => (event.event === 'joined' ? [[event.member, event.name]] : [])))
  const name = (member: number) => names.get(member) || 'Somebody'
  const there = events.flatMap((event) => (event.event === 'joined' && event.at_s < BEGINNING_S ? [name(event.member)] : []))
  const moments: Moment[] = there.length === 0 ? [] : [{ at_s: 0, words: `In the room: ${several(there)}` }]
  // Where one picture is cut to, nobody is arranged, and whoever speaks is in the picture.
  const isCut = events.some((event) => event.event === 'on_air' && event.member !== null)
  for (const event of events) {
    const words = isCut && event.event === 'layout' ? null : wordsOf(event, name)
    if (words !== null) moments.push({ at_s: event.at_s, words })
  }
  if (!isCut) moments.push(...turnsOf(events, length_s).map(({ at_s, member }) => ({ at_s, words: `${name(member)} speaks` })))
  return moments.sort((a, b) => a.at_s - b.at_s)
}

function wordsOf(event: TimelineEvent, name: (member: number) => string): string | null {
  switch (event.event) {
    case 'joined':
      return event.at_s < BEGINNING_S ? null : `${name(event.member)} came`
    case 'left':
      return `${name(event.member)} left`
    case 'track':
      return event.source === 'screen' ? `${name(event.member)} shares a screen` : null
    case 'on_air':
      return event.member === null ? null : `${name(event.member)} in the picture`
    case 'layout':
      return `Arrangement: ${event.layout.replaceAll('-', ' ')}`
    case 'gap':
      return 'Something is missing in this list'
    case 'full':
      return 'Nothing more was written down'
    case 'track_gone':
    case 'muted':
    case 'unmuted':
    case 'speaking':
    case 'said':
      return null
  }
}

/** Words, and when they are to be read. */
export interface Cue {
  at_s: number
  until_s: number
  words: string
}

/** How long people take to read: as the server reckons for those who watch live (`packager/captions.rs`). */
const CHARACTERS_PER_S = 15
const SHOWN_MIN_S = 2
const SHOWN_MAX_S = 8

/** What was said, where somebody wrote it down. */
export function cuesOf(events: TimelineEvent[]): Cue[] {
  return events.flatMap((event) => {
    if (event.event !== 'said') return []
    const shown = Math.min(SHOWN_MAX_S, Math.max(SHOWN_MIN_S, event.text.length / CHARACTERS_PER_S))
    const words = event.who === '' ? event.text : `${event.who}: ${event.text}`
    return [{ at_s: event.at_s, until_s: event.at_s + shown, words }]
  })
}

/** When somebody began to speak for longer than a word, each time that it is somebody else than before. */
function turnsOf(events: TimelineEvent[], length_s: number): { at_s: number; member: number }[] {
  const turns: { at_s: number; member: number }[] = []
  let turn: { at_s: number; member: number } | null = null
  const end = (at_s: number) => {
    if (turn && at_s - turn.at_s >= TURN_S && turns.at(-1)?.member !== turn.member) turns.push(turn)
    turn = null
  }
  for (const event of events) {
    if (event.event !== 'speaking') continue
    const [member] = event.members
    if (turn && (turn as { member: number }).member === member) continue
    end(event.at_s)
    if (member !== undefined) turn = { at_s: event.at_s, member }
  }
  end(length_s)
  return turns
}

/** Nearer to each other two marks are one. */
const MARKS_APART = 0.005

/** Where on a bar moments are marked, from 0 to 1. */
export function marksOf(moments: Moment[], length_s: number): number[] {
  const marks: number[] = []
  for (const { at_s } of moments) {
    const share = at_s / Math.max(length_s, 0.001)
    // What was so at the beginning needs no mark to be found.
    if (share >= (marks.at(-1) ?? 0) + MARKS_APART && share <= 1) marks.push(share)
  }
  return marks
}

function several(names: string[]): string {
  const rest = names.length - NAMES_MAX
  return rest > 0 ? `${names.slice(0, NAMES_MAX).join(', ')} and ${rest} more` : names.join(', ')
}
