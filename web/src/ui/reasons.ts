/** Why a broadcast is reported, as people read it. */
import type { Reason } from '../api'

export const REASONS: [Reason, string][] = [
  ['sexual', 'Sexual'],
  ['violence', 'Violence'],
  ['hate', 'Hate or harassment'],
  ['against_the_law', 'Against the law'],
  ['other', 'Something else'],
]

/** A reason of a newer server is said as it came. */
export const reasonInWords = (reason: string): string => REASONS.find(([known]) => known === reason)?.[1] ?? reason
