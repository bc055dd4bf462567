/** Chooses a model: of those below the folder, or any path, hub id or address that is typed. */
import { useQuery } from '@tanstack/react-query'
import { useId, useState } from 'react'
import type { ModelChoice, ModelChoices, ModelKind } from '../../studio/play/api.ts'
import { get } from '../api.ts'
import { Button } from '../ui/Button.tsx'
import { Badge } from '../ui/Card.tsx'
import { Dialog } from '../ui/Dialog.tsx'
import { ErrorNote } from '../ui/ErrorNote.tsx'
import { Field, Input } from '../ui/Field.tsx'
import type { Choosing } from './SettingsPanel.tsx'

type Props = {
  what: Choosing | undefined
  onClose(): void
  onChoose(model: string, keyEnv?: string): void
}

export const ModelDialog = ({ what, onClose, onChoose }: Props) => {
  const scorer = what && 'scorer' in what ? what.scorer : undefined
  const title = scorer === 'reward' ? 'Choose a reward model' : scorer === 'judge' ? 'Choose a judge' : 'Choose a model'
  return (
    <Dialog open={what !== undefined} onOpenChange={(open) => open || onClose()} title={title} size="wide">
      <Choice scorer={scorer} onChoose={onChoose} />
    </Dialog>
  )
}

const isUrl = (text: string) => /^https?:\/\//i.test(text)

const Choice = ({ scorer, onChoose }: { scorer?: 'reward' | 'judge'; onChoose: Props['onChoose'] }) => {
  const [text, setText] = useState('')
  const [keyEnv, setKeyEnv] = useState('')
  const choices = useQuery({
    queryKey: ['play-models'],
    queryFn: () => get<ModelChoices>('/play/models'),
    staleTime: 0,
  })
  const listed = (choices.data?.models ?? [])
    .filter(({ kind }) => (kind === 'reward') === (scorer === 'reward'))
    .filter(
      ({ model }) => isUrl(text) || text.split(/\s+/).every((word) => model.toLowerCase().includes(word.toLowerCase())),
    )
  const typed = text.trim()
  return (
    <div className="stack choice">
      <form
        className="typed"
        onSubmit={(event) => {
          event.preventDefault()
          if (typed)
            onChoose(listed.length === 1 && !isUrl(typed) ? listed[0].model : typed, keyEnv.trim() || undefined)
        }}
      >
        <Field
          label={scorer === 'reward' ? 'Search, or a path or hub id' : 'Search, or a path, hub id or address'}
          hint={
            scorer === 'reward'
              ? undefined
              : 'An address of a server with the OpenAI API: http://127.0.0.1:8000/v1, or with a model’s name, …/v1#NAME'
          }
        >
          <Input
            value={text}
            onChange={({ target }) => setText(target.value)}
            autoFocus
            autoComplete="off"
            spellCheck={false}
          />
        </Field>
        {isUrl(typed) && !scorer && (
          <Field
            label="Environment variable with its key"
            hint="Such as OPENAI_API_KEY; nothing for a server without keys"
          >
            <Input
              value={keyEnv}
              onChange={({ target }) => setKeyEnv(target.value)}
              autoComplete="off"
              spellCheck={false}
            />
          </Field>
        )}
        <Button type="submit" look="primary" disabled={!typed}>
          Open {listed.length === 1 && !isUrl(typed) ? listed[0].model : typed || 'it'}
        </Button>
      </form>
      {choices.isError && <ErrorNote error={choices.error} />}
      {choices.data && listed.length === 0 && (
        <p className="soft">
          {typed
            ? 'Nothing below the folder has this name; it is opened as a path or a hub id.'
            : scorer === 'reward'
              ? 'There is no reward model below the folder. Train one: attune reward --help'
              : 'There is no model below the folder. Type a path, a hub id such as HuggingFaceTB/SmolLM2-135M-Instruct, or an address.'}
        </p>
      )}
      <Groups choices={listed} onChoose={onChoose} />
      {choices.data?.cut && (
        <p className="soft">There are more folders than are looked into; type the path of others.</p>
      )}
    </div>
  )
}

const groups: readonly [title: string, kinds: readonly ModelKind[]][] = [
  ['Runs and their checkpoints', ['run', 'checkpoint']],
  ['Model folders', ['model']],
  ['Adapters', ['adapter']],
  ['Reward models', ['reward']],
]

const Groups = ({ choices, onChoose }: { choices: readonly ModelChoice[]; onChoose(model: string): void }) => (
  <>
    {groups.map(([title, kinds]) => {
      const of = choices.filter(({ kind }) => kinds.includes(kind))
      return of.length === 0 ? null : <Group key={title} title={title} choices={of} onChoose={onChoose} />
    })}
  </>
)

const Group = (props: { title: string; choices: readonly ModelChoice[]; onChoose(model: string): void }) => {
  const id = useId()
  return (
    <section className="group">
      <h3 id={id}>{props.title}</h3>
      <ul aria-labelledby={id}>
        {props.choices.map(({ model, kind, method, step, run }) => (
          <li key={model} className={kind}>
            <button type="button" onClick={() => props.onChoose(model)} title={model}>
              <span className="name" dir="auto">
                {kind === 'checkpoint' && run !== undefined ? `step ${step} of ${run}` : model}
              </span>
              {method && kind !== 'checkpoint' && <Badge>{method}</Badge>}
            </button>
          </li>
        ))}
      </ul>
    </section>
  )
}
