/** The window of the help. */
import { Kbd } from './Card.tsx'
import { Dialog } from './Dialog.tsx'

/** A heading, and rows of keys (as Kbd takes them; several with commas) with what they do. */
export type HelpPart = { title: string; keys: readonly (readonly [keys: string, does: string])[] }

const HelpDialog = ({ parts, onClose }: { parts: readonly HelpPart[]; onClose(): void }) => (
  <Dialog open onOpenChange={onClose} title="Keys" size="wide">
    <div className="help">
      {parts.map(({ title, keys }) => (
        <section key={title}>
          <h3>{title}</h3>
          <dl>
            {keys.map(([names, does]) => (
              <div key={names}>
                <dt>
                  {names.split(', ').map((name) => (
                    <Kbd key={name} keys={name} />
                  ))}
                </dt>
                <dd>{does}</dd>
              </div>
            ))}
          </dl>
        </section>
      ))}
    </div>
  </Dialog>
)

export default HelpDialog
