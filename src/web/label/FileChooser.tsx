/** Chooses a file of rows: one below the studio's folder, or one that is dropped or picked and sent to it. */
import { useMutation } from '@tanstack/react-query'
import { FileText, Folder, Upload } from 'lucide-react'
import { type DragEvent, useRef, useState } from 'react'
import { Button } from '../ui/Button.tsx'
import { ErrorNote } from '../ui/ErrorNote.tsx'
import { bytes } from '../ui/format.ts'
import { useFiles } from './data.ts'
import { upload } from './upload.ts'
import './forms.css'

/** As an import takes it. `name` is what the person knows it by. */
export type Chosen = { name: string } & ({ file: string } | { upload: string })

const accepted = '.jsonl,.json,.csv,.tsv,.parquet,.gz,.xml'

export const FileChooser = ({ onChoose }: { onChoose(chosen: Chosen): void }) => {
  const input = useRef<HTMLInputElement>(null)
  const [over, setOver] = useState(false)
  const sending = useMutation({
    mutationFn: async (file: File) => onChoose({ name: file.name, upload: await upload(file) }),
  })
  const send = (files: FileList | null) => {
    if (files?.[0]) sending.mutate(files[0])
  }
  const onDrop = (event: DragEvent) => {
    event.preventDefault()
    setOver(false)
    send(event.dataTransfer.files)
  }
  return (
    <div className="chooser">
      {/* biome-ignore lint/a11y/noStaticElementInteractions: dropping is a second way; the button does the same */}
      <div
        className={over ? 'drop over' : 'drop'}
        onDragOver={(event) => {
          event.preventDefault()
          setOver(true)
        }}
        onDragLeave={() => setOver(false)}
        onDrop={onDrop}
      >
        <Upload size={20} aria-hidden />
        <p>{sending.isPending ? `Sending ${sending.variables.name}…` : 'Drop a file of rows here'}</p>
        <Button onClick={() => input.current?.click()} disabled={sending.isPending}>
          Choose a file
        </Button>
        <input
          ref={input}
          type="file"
          hidden
          accept={accepted}
          aria-label="File of rows"
          onChange={({ target }) => send(target.files)}
        />
        <p className="hint">
          JSONL, JSON, CSV or Parquet with prompts and responses; an export of Label Studio or Argilla; a Label Studio
          template (XML).
        </p>
      </div>
      {sending.isError && <ErrorNote error={sending.error} />}
      <Files onChoose={(file) => onChoose({ name: file.replace(/^.*\//, ''), file })} />
    </div>
  )
}

/** Files below the studio's folder, a folder at a time. */
const Files = ({ onChoose }: { onChoose(path: string): void }) => {
  const [folder, setFolder] = useState('')
  const files = useFiles(folder)
  if (files.isError) return <ErrorNote error={files.error} />
  if (!files.data) return null
  const above = folder.split('/').slice(0, -1).join('/')
  if (files.data.length === 0 && folder === '')
    return <p className="hint">There is no file of rows in the studio’s folder.</p>
  return (
    <section className="files" aria-label="Files in the studio’s folder">
      <h2>{folder === '' ? 'Or one from the studio’s folder' : `In ${folder}`}</h2>
      <ul>
        {folder !== '' && (
          <li>
            <button type="button" onClick={() => setFolder(above)}>
              <Folder size={16} aria-hidden /> ..
            </button>
          </li>
        )}
        {files.data.map(({ path, kind, bytes: size }) => (
          <li key={path}>
            <button type="button" onClick={() => (kind === 'folder' ? setFolder(path) : onChoose(path))}>
              {kind === 'folder' ? <Folder size={16} aria-hidden /> : <FileText size={16} aria-hidden />}
              <span>{path.slice(folder === '' ? 0 : folder.length + 1)}</span>
              {size !== undefined && <span className="soft">{bytes(size)}</span>}
            </button>
          </li>
        ))}
      </ul>
    </section>
  )
}
