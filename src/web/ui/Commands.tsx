/** Commands to type, each with a button that copies it. */
import { CopyButton } from './Card.tsx'

export const Commands = ({ lines }: { lines: readonly string[] }) => (
  <ul className="commands">
    {lines.map((line) => (
      <li key={line}>
        <code>{line}</code>
        <CopyButton text={line} label="Copy the command" />
      </li>
    ))}
  </ul>
)
