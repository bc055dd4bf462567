/**
 * On-policy distillation (GKD, arXiv 2306.13649): the student completes prompts, and learns at each of its own tokens what the
 * teacher would have said there: the divergence between their distributions over the vocabulary. A part of the batches (1 - lmbda)
 * learns on completions of the data, or of the teacher, instead.
 */

import { openScheduler } from '../generate/scheduler.ts'
import { openTokenization } from '../generate/tokenization.node.ts'
import { resolveModel } from '../models/resolve.node.ts'
import { distillBatches } from './distill/batches.ts'
import { openDistillData } from './distill/data.ts'
import { distillRule } from './distill/examples.ts'
import { distillSchema } from './distill/schema.ts'
import { openTeacher } from './distill/teacher.ts'
import { methods } from './methods.ts'
import { openPolicyScheduler } from './rl/rollout.ts'
import { makeExamples } from './trainer/dataset.ts'
import { distillObjective } from './trainer/objectives.ts'
import { openPolicy } from './trainer/policy.ts'
import { recipe } from './trainer/recipe.ts'
import { runTrainer } from './trainer/trainer.ts'

export const distill = recipe(methods.distill, distillSchema, async function* (config, { signal, own, run, loading }) {
  // data
  const folders = await resolveModel(config, loading)
  const { dataset, promptsOnly } = await openDistillData(config)
  own(dataset)
  // model
  const policy = own(await openPolicy(config, folders, loading))
  const tokenization = await openTokenization(folders, policy.pretrained, config)
  // reference: the teacher
  const teacher = await openTeacher(config, { policy, folders, tokenization })
  // objective
  const loss = distillObjective({ beta: config.beta, temperature: config.kdTemperature })
  // batches: completions of the student, the data or the teacher, with what the teacher says of them
  const student = own(openPolicyScheduler(policy, tokenization))
  const samples = config.seqKd && 'model' in teacher
  const teacherSampler = samples
    ? own(openScheduler(teacher.model, tokenization.tokenizer, { batchSize: 64 }))
    : undefined
  const context = { settings: config, tokenization, teacher, student, teacherSampler, promptsOnly }
  const { collate, numTokens } = distillBatches(context)
  const { teacherContext, maxNewTokens } = config
  const rule = distillRule(tokenization, {
    context: teacherContext,
    teacherLimit: teacher.limit,
    maxNewTokens,
    promptsOnly,
  })
  const examples = makeExamples(dataset, config, tokenization, rule)
  // loop
  yield* runTrainer({
    policy: { ...policy, files: [...policy.files, ...teacher.files] },
    tokenization,
    examples,
    settings: config,
    run,
    signal,
    loss,
    collate,
    numTokens,
    passTokens: ({ prompt, completion, room }) =>
      prompt.length + Math.max(completion.length, config.lmbda > 0 ? room : 0),
    evaluateFirst: true,
  })
})
