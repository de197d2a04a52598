#!/usr/bin/perl
# glossary --write TABLE FOLDER    one line for each file: its name, a tab, its first line
# glossary --look-up TABLE TERM    what the table says of the term
use strict;
use warnings;

my ($mode, $table, $what) = @ARGV;
die "usage: glossary --write TABLE FOLDER | --look-up TABLE TERM\n" unless defined $what;

if ($mode eq '--write') {
    open my $out, '>', $table or die "$table: $!\n";
    for my $file (sort glob "$what/*") {
        open my $in, '<', $file or die "$file: $!\n";
        my ($term) = $file =~ m{([^/]+)$};
        print $out "$term\t" . (scalar <$in>);
    }
    close $out or die "$table: $!\n";
} else {
    open my $in, '<', $table or die "$table: $!\n";
    while (my $line = <$in>) {
        my ($term, $meaning) = split /\t/, $line;
        print "$term: $meaning" and exit if $term eq $what;
    }
    die "$what is not in the glossary\n";
}
