import { followLink } from '../router'
import { Message } from '../ui/Message'

export function NotFound() {
  return (
    <Message title="There is no such page">
      <p>The link may be mistyped, or what it led to is gone.</p>
      <div class="actions">
        <a class="button primary" href="/" onClick={followLink}>
          To the home page
        </a>
      </div>
    </Message>
  )
}
