/** A completion token by token, coloured by how much likelier training made each, or by its share of the reward. */
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import type { TokensBody, TokenView } from '../../studio/runs/api.ts'
import { post } from '../api.ts'
import { Dialog } from '../ui/Dialog.tsx'
import { ErrorNote } from '../ui/ErrorNote.tsx'
import { number } from '../ui/format.ts'
import { Table } from '../ui/Table.tsx'
import { Segmented } from '../ui/Tabs.tsx'
import { runApi } from './address.ts'

type Sample = { prompt: string; completion: string }

export const TokenDialog = (props: { name: string; sample: Sample | undefined; onClose(): void }) => {
  const { name, sample, onClose } = props
  const [view, setView] = useState<TokensBody['view']>('reference')
  return (
    <Dialog
      open={sample !== undefined}
      onOpenChange={(open) => open || onClose()}
      title="Token by token"
      lead="Computed with the models of this run, as they are now."
      size="wide"
    >
      <Segmented
        label="What is shown"
        choices={[
          { value: 'reference', name: 'Log-prob against the model before' },
          { value: 'reward', name: 'Share of the reward' },
        ]}
        value={view}
        onChange={setView}
      />
      {sample && <Tokens name={name} body={{ ...sample, view }} />}
    </Dialog>
  )
}

const Tokens = ({ name, body }: { name: string; body: TokensBody }) => {
  const tokens = useQuery({
    queryKey: ['run-tokens', name, body],
    queryFn: () => post<TokenView>(runApi(name, '/tokens'), body),
    staleTime: Infinity,
    retry: false,
  })
  if (tokens.isError) return <ErrorNote error={tokens.error} />
  if (!tokens.data)
    return (
      <p className="soft" role="status">
        Loading the models and computing. This takes some seconds, with a large model a minute or more.
      </p>
    )
  return <Coloured view={tokens.data} />
}

/** Four depths of each colour. */
const depthOf = (value: number, most: number) => (most > 0 ? Math.min(4, Math.ceil((4 * Math.abs(value)) / most)) : 0)

const signed = (value: number) => `${value > 0 ? '+' : ''}${number(value)}`

export const Coloured = ({ view: { meaning, unit, total, tokens } }: { view: TokenView }) => {
  const most = Math.max(0, ...tokens.map(({ value }) => Math.abs(value)))
  return (
    <div className="stack">
      <p className="token-legend">
        <span className="token up-3">{meaning[0]}</span> <span className="token down-3">{meaning[1]}</span>
        <span className="soft">
          {unit === 'reward' ? `reward ${number(total)}` : `${signed(total)} ${unit} over all tokens`}; full colour is{' '}
          {number(most)}
        </span>
      </p>
      <p className="tokens" dir="auto">
        {tokens.map(({ text, value }, i) => (
          <span
            key={i}
            className={`token ${value < 0 ? 'down' : 'up'}-${depthOf(value, most)}`}
            title={`${signed(value)} ${unit}`}
          >
            {text}
          </span>
        ))}
      </p>
      <details>
        <summary>As a table</summary>
        <Table label="Tokens and their numbers">
          <thead>
            <tr>
              <th scope="col">Token</th>
              <th scope="col" className="number">
                {unit}
              </th>
            </tr>
          </thead>
          <tbody>
            {tokens.map(({ text, value }, i) => (
              <tr key={i}>
                <td>
                  <code>{JSON.stringify(text)}</code>
                </td>
                <td className="number">{signed(value)}</td>
              </tr>
            ))}
          </tbody>
        </Table>
      </details>
    </div>
  )
}
