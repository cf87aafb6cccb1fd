/** Shown instead of a room's door to somebody without a token that opens it. */
import { followLink, pathTo } from '../router'
import { Message } from '../ui/Message'

interface Props {
  room: string
  /** The server's own words, when it refused. */
  reason?: string
}

export function NotAllowed({ room, reason }: Props) {
  return (
    <Message title="You need an invitation">
      <p>{reason ?? `The stage of “${room}” opens with an invitation link. Ask the person who runs the room for one.`}</p>
      <div class="actions">
        <a class="button primary" href={pathTo('watch', room)} onClick={followLink}>
          Watch instead
        </a>
        <a class="button" href="/" onClick={followLink}>
          To the home page
        </a>
      </div>
    </Message>
  )
}
