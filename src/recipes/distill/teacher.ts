/** The teacher of a distillation: a model beside the student on its engine, the student as it was at the start, or a server. */
import { filesOf } from '../../checkpoint/folder.node.ts'
import { isUrl } from '../../endpoint/open.node.ts'
import type { Tokenization } from '../../generate/tokenization.node.ts'
import { type ModelFolders, resolveModel } from '../../models/resolve.node.ts'
import type { Compute } from '../../passes/int8.ts'
import type { Model } from '../../passes/model.ts'
import { openModel } from '../../passes/open.node.ts'
import type { Tokenizer } from '../../text/tokenizer.ts'
import { badInput } from '../../util/fault.ts'
import { quoted } from '../../util/quote.ts'
import { type FileHash, sha256Files } from '../../util/sha256.node.ts'
import { hasLiveReference, type Policy, referenceModel } from '../trainer/policy.ts'
import { openServerTeacher, type ServerTeacher } from './serverTeacher.ts'

export type LocalTeacher = { model: Model; files: FileHash[]; limit: number }
export type DistillTeacher = LocalTeacher | ServerTeacher

export type TeacherSettings = {
  teacher: string
  teacherContext?: string
  kdTemperature: number
  seqKd: boolean
  compute: Compute
}

const flag = '--teacher'

/** Checks that the teacher's distributions can be compared with the student's. Throws Faults that name --teacher. */
export const openTeacher = (
  settings: TeacherSettings,
  student: { policy: Policy; folders: ModelFolders; tokenization: Tokenization },
): Promise<DistillTeacher> =>
  isUrl(settings.teacher) ? openServerTeacher(settings, student.tokenization) : openLocalTeacher(settings, student)

const openLocalTeacher = async (
  { teacher: name, teacherContext, compute }: TeacherSettings,
  { policy, folders, tokenization }: { policy: Policy; folders: ModelFolders; tokenization: Tokenization },
): Promise<LocalTeacher> => {
  const found = await resolveModel({ model: name })
  const isStart = found.dir === folders.dir && found.adapter === folders.adapter
  // Without its new adapter the student is what it was at the start, so no copy of it is needed
  const shared = isStart && hasLiveReference(policy) && policy.quantize === 'none'
  const opened = shared ? undefined : await openModel({ model: name, engine: policy.backend, compute })
  const files = opened ? await sha256Files(await filesOf(found, opened.files)) : []
  const own = new Set(policy.files.map(({ sha256 }) => sha256))
  const isSame = shared || (files.length === own.size && files.every(({ sha256 }) => own.has(sha256)))
  if (isSame && teacherContext === undefined)
    throw badInput(
      'same-model',
      `${quoted(name)} is the student itself, so there is nothing to learn from it; give another model, or --teacher-context, a text that only the teacher reads`,
      { flag },
    )
  const model = opened?.model ?? referenceModel(policy)
  requireSameTokens(name, { vocabulary: model.config.vocab_size, tokenizer: opened?.tokenizer }, tokenization, shared)
  return { model: { ...model, dropout: 0 }, files, limit: model.config.max_position_embeddings }
}

/** Every id must mean the same token in both: distributions are compared id by id. */
const requireSameTokens = (
  name: string,
  teacher: { vocabulary: number; tokenizer?: Tokenizer },
  student: Tokenization,
  shared: boolean,
) => {
  const refuse = (why: string) =>
    badInput(
      'teacher-tokenizer',
      `${quoted(name)}: ${why}; a teacher must share the student's tokenizer. To learn from its answers alone, let it complete the prompts (attune generate) and train on them (attune sft)`,
      { flag },
    )
  if (teacher.vocabulary !== student.vocabulary)
    throw refuse(`it has ${teacher.vocabulary} token ids and the student ${student.vocabulary}`)
  if (shared) return
  const [a, b] = [teacher.tokenizer, student.tokenizer]
  if ((a === undefined) !== (b === undefined))
    throw refuse('one of the two models has a tokenizer and the other has none')
  if (!a || !b) return
  for (let id = 0; id < Math.max(a.size, b.size); id++) {
    const [its, own] = [a.idToToken(id), b.idToToken(id)]
    if (its === own) continue
    const shown = (token: string | undefined) => (token === undefined ? 'no token' : quoted(token))
    throw refuse(`its token ${id} is ${shown(its)}, and the student's is ${shown(own)}`)
  }
}
