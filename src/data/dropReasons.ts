/** Why rows that are right give nothing to train on, in words, by the code that counts them. */

/** Each completes "rows dropped: ...". */
export const dropReasons: Readonly<Record<string, string>> = {
  'no-reply-left': 'the length limits leave no response',
  'no-target-left': 'there is no token to learn within the length limit',
  'prompt-too-long': 'the prompt is longer than the limits',
  'empty-prompt': 'the prompt has no tokens',
  empty: 'too short to predict anything',
  tie: 'responses of equal rank teach nothing',
  undesirable: 'completions labelled bad are not read by sft',
  'empty-chosen': 'the better response is empty',
  'no-label': 'the label or rating is empty',
  'no-completion': 'the completion that would be learnt is empty',
  'empty-rejected': 'the worse response is empty',
  'prefix-differs': 'the two sides begin with different prompts',
  'too-few-scores': 'fewer than two of the completions have a score',
  'one-response': 'a single response ranks nothing',
  'no-parent': 'the message that it answers is not in the file',
  deleted: 'the message was deleted',
  'no-neighbour': 'no second row of the same prompt stands beside it',
  'equal-ratings': 'the answers to the prompt have equal ratings',
}
