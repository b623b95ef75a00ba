import java.io.File;
import java.io.FileReader;
import java.io.IOException;
import java.io.Reader;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Duration;
import java.time.Instant;
import java.time.LocalDate;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyIn;
import org.postgresql.copy.CopyManager;

/**
 * Bars from a topic into a table, each exactly once: java Consumer SETTINGS.properties
 *
 * COPY into a temporary table, one upsert, and the offsets in the same transaction, as in programs/python_consumer.py.
 */
public final class Consumer implements ConsumerRebalanceListener {
    private static final long BATCH_NANOS = 200_000_000L;
    private static final Duration POLL = Duration.ofMillis(50);
    private static final int FRAME = 5; // a zero and the schema's id
    private static final int SCALE = 9;
    private static final String OFFSETS =
            "CREATE TABLE IF NOT EXISTS consumer_offsets (consumer text NOT NULL, topic text NOT NULL,"
                    + " partition integer NOT NULL, next_offset bigint NOT NULL, PRIMARY KEY (consumer, topic, partition))";
    private static final String ASSIGN =
            "INSERT INTO consumer_offsets AS old VALUES (?, ?, ?, 0) ON CONFLICT (consumer, topic, partition)"
                    + " DO UPDATE SET next_offset = old.next_offset RETURNING next_offset";
    private static final String MOVE = "UPDATE consumer_offsets SET next_offset = ?"
            + " WHERE consumer = ? AND topic = ? AND partition = ? AND next_offset = ?";

    private final Properties settings;
    private final int batch;
    private final Connection database;
    private final CopyManager copies;
    private final KafkaConsumer<byte[], byte[]> consumer;
    private final GenericDatumReader<GenericRecord> reader;
    private final Map<Integer, Long> committed = new HashMap<>();
    private final Map<Integer, Long> next = new HashMap<>();
    private final StringBuilder text = new StringBuilder();
    private BinaryDecoder decoder;
    private GenericRecord bar;
    private int count;

    private Consumer(Properties settings) throws IOException, SQLException {
        this.settings = settings;
        batch = Integer.parseInt(settings.getProperty("batch"));
        reader = new GenericDatumReader<>(new Schema.Parser().parse(new File(settings.getProperty("schema"))));
        database = DriverManager.getConnection(settings.getProperty("url"), settings.getProperty("user"),
                settings.getProperty("password"));
        database.setAutoCommit(false);
        copies = database.unwrap(PGConnection.class).getCopyAPI();
        execute(OFFSETS);
        execute("CREATE TEMPORARY TABLE staging (LIKE " + settings.getProperty("table") + ") ON COMMIT DELETE ROWS");
        execute("ALTER TABLE staging ALTER created_at DROP NOT NULL");
        database.commit();
        consumer = new KafkaConsumer<>(consumerSettings());
        consumer.subscribe(List.of(settings.getProperty("topic")), this);
    }

    private Map<String, Object> consumerSettings() {
        return Map.of(
                "bootstrap.servers", settings.getProperty("brokers"),
                "group.id", settings.getProperty("group"),
                "key.deserializer", ByteArrayDeserializer.class,
                "value.deserializer", ByteArrayDeserializer.class,
                "enable.auto.commit", false,
                "auto.offset.reset", "none",
                "max.poll.records", batch,
                "max.partition.fetch.bytes", 4 << 20);
    }

    private void execute(String sql) throws SQLException {
        try (Statement statement = database.createStatement()) {
            statement.execute(sql);
        }
    }

    // --- partitions ---

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
        // The batch in hand is dropped: whoever has them next begins where the database says.
        reset();
        partitions.forEach(each -> committed.remove(each.partition()));
        committed.forEach((partition, offset) -> consumer.seek(place(partition), offset));
    }

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
        try (PreparedStatement statement = database.prepareStatement(ASSIGN)) {
            for (TopicPartition each : partitions) {
                statement.setString(1, settings.getProperty("group"));
                statement.setString(2, each.topic());
                statement.setInt(3, each.partition());
                try (ResultSet found = statement.executeQuery()) {
                    found.next();
                    committed.put(each.partition(), found.getLong(1));
                    consumer.seek(each, found.getLong(1));
                }
            }
            database.commit();
        } catch (SQLException e) {
            throw new IllegalStateException(e);
        }
    }

    private TopicPartition place(int partition) {
        return new TopicPartition(settings.getProperty("topic"), partition);
    }

    // --- records to lines ---

    private void add(byte[] value) throws IOException {
        decoder = DecoderFactory.get().binaryDecoder(value, FRAME, value.length - FRAME, decoder);
        bar = reader.read(bar, decoder);
        word("symbol");
        word("interval");
        field(time("ts_event"));
        word("dataset");
        field(bar.get("publisher_id"));
        field(bar.get("instrument_id"));
        field(price("open_price"));
        field(price("high_price"));
        field(price("low_price"));
        field(price("close_price"));
        field(volume());
        word("ticker");
        word("venue");
        field(LocalDate.ofEpochDay((Integer) bar.get("session_date")));
        word("session_basis");
        field(bar.get("flags"));
        field(bar.get("attempt"));
        field(time("as_of"));
        text.setCharAt(text.length() - 1, '\n');
        count++;
    }

    private void field(Object value) {
        text.append(value).append('\t');
    }

    private void word(String name) {
        CharSequence value = (CharSequence) bar.get(name);
        if (value == null) {
            field("\\N");
            return;
        }
        String word = value.toString();
        for (int i = 0; i < word.length(); i++) {
            char c = word.charAt(i);
            switch (c) {
                case '\\' -> text.append("\\\\");
                case '\t' -> text.append("\\t");
                case '\n' -> text.append("\\n");
                case '\r' -> text.append("\\r");
                default -> text.append(c);
            }
        }
        text.append('\t');
    }

    private Instant time(String name) {
        long nanos = (Long) bar.get(name);
        return Instant.ofEpochSecond(Math.floorDiv(nanos, 1_000_000_000L), Math.floorMod(nanos, 1_000_000_000L));
    }

    private String price(String name) {
        ByteBuffer bytes = (ByteBuffer) bar.get(name);
        BigInteger number = new BigInteger(bytes.array(), bytes.position(), bytes.remaining());
        return new BigDecimal(number, SCALE).toPlainString();
    }

    private Object volume() {
        int exponent = (Integer) bar.get("volume_exponent");
        Long volume = (Long) bar.get("volume");
        return exponent == 0 ? volume : BigDecimal.valueOf(volume, -exponent).toPlainString();
    }

    // --- batches ---

    private void reset() {
        text.setLength(0);
        next.clear();
        count = 0;
    }

    private void load() throws SQLException {
        byte[] lines = text.toString().getBytes(StandardCharsets.UTF_8);
        CopyIn copy = copies.copyIn("COPY staging (" + settings.getProperty("columns") + ") FROM STDIN");
        copy.writeToCopy(lines, 0, lines.length);
        copy.endCopy();
        execute(settings.getProperty("upsert"));
        try (PreparedStatement move = database.prepareStatement(MOVE)) {
            for (Map.Entry<Integer, Long> each : next.entrySet()) {
                move.setLong(1, each.getValue());
                move.setString(2, settings.getProperty("group"));
                move.setString(3, settings.getProperty("topic"));
                move.setInt(4, each.getKey());
                move.setLong(5, committed.get(each.getKey()));
                if (move.executeUpdate() != 1) {
                    throw new IllegalStateException("partition " + each.getKey() + ": somebody else loads it by now");
                }
            }
        }
        database.commit();
        committed.putAll(next);
        reset();
    }

    private void run() throws IOException, SQLException {
        long began = 0;
        while (true) {
            for (ConsumerRecord<byte[], byte[]> record : consumer.poll(POLL)) {
                if (count == 0) {
                    began = System.nanoTime();
                }
                add(record.value());
                next.put(record.partition(), record.offset() + 1);
            }
            if (count >= batch || count > 0 && System.nanoTime() - began >= BATCH_NANOS) {
                load();
            }
        }
    }

    public static void main(String[] arguments) throws IOException, SQLException {
        Properties settings = new Properties();
        try (Reader file = new FileReader(arguments[0], StandardCharsets.UTF_8)) {
            settings.load(file);
        }
        new Consumer(settings).run();
    }
}
